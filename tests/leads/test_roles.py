"""Who may log in, and what each role may do."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import RequestFactory

from leads.models import Role, User
from leads.roles import RoleBackend
from tests.leads.factories import PASSWORD, CompanyAdminFactory, ManagerFactory, UserFactory

MODELS = ("lead", "customer", "call", "followup", "note", "tag", "campaign", "leadstatus")


def opens(**credentials: str) -> User | None:
    return authenticate(RequestFactory().post("/admin/login/"), **credentials)


@pytest.mark.django_db
class TestLogin:
    @pytest.mark.parametrize("login", ["farheen", "FARHEEN", "farheen@example.com", "Farheen@Example.COM"])
    def test_the_user_name_and_the_address_in_any_case_open(self, login: str) -> None:
        user = UserFactory(username="farheen", email="farheen@example.com")
        assert opens(username=login, password=PASSWORD) == user

    @pytest.mark.parametrize(
        ("login", "password"),
        [
            ("farheen", "wrong"),
            ("nobody", PASSWORD),
            ("", PASSWORD),
            ("far\x00heen", PASSWORD),
            ("farheen", ""),
        ],
    )
    def test_anything_else_does_not(self, login: str, password: str) -> None:
        UserFactory(username="farheen")
        assert opens(username=login, password=password) is None
        assert opens(username="farheen") is None

    def test_users_without_an_address_are_not_found_by_an_empty_one(self) -> None:
        UserFactory(email="")
        assert opens(username="", password=PASSWORD) is None

    def test_somebodys_name_wins_over_anothers_address(self) -> None:
        UserFactory(email="shared@example.com")
        named = UserFactory(username="shared@example.com", email="")
        assert opens(username="shared@example.com", password=PASSWORD) == named

    def test_the_banned_stay_out_from_the_next_request_on(self, client) -> None:
        user = UserFactory()
        client.force_login(user)
        assert client.get("/admin/").status_code == 200
        User.objects.filter(pk=user.pk).update(is_active=False)
        assert client.get("/admin/").status_code == 302
        assert opens(username=user.username, password=PASSWORD) is None

    def test_an_unknown_name_costs_one_hashing_as_a_known_one_does(self, settings, monkeypatch) -> None:
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
        UserFactory(username="farheen")
        hashed: list[str] = []
        encode = PBKDF2PasswordHasher.encode

        def counting(self, password, salt, iterations=None):
            hashed.append(password)
            return encode(self, password, salt, 1)

        monkeypatch.setattr(PBKDF2PasswordHasher, "encode", counting)
        opens(username="farheen", password="wrong")
        known = len(hashed)
        opens(username="nobody", password="wrong")
        assert known == len(hashed) - known == 1

    def test_the_login_page_takes_an_address(self, client) -> None:
        UserFactory(email="farheen@example.com")
        answer = client.post("/admin/login/", {"username": "FARHEEN@example.com", "password": PASSWORD})
        assert answer.status_code == 302 and client.get("/admin/").status_code == 200


@pytest.mark.django_db
class TestPermissions:
    def test_a_company_admin_may_do_everything(self) -> None:
        admin = CompanyAdminFactory()
        assert all(admin.has_perm(f"leads.delete_{model}") for model in (*MODELS, "user"))
        assert admin.has_perm("apikeys.add_apikey") and admin.has_module_perms("webhooks")

    def test_a_manager_may_do_all_with_the_crm_but_manage_users_and_settings(self) -> None:
        manager = ManagerFactory()
        actions = ("view", "add", "change", "delete")
        assert all(manager.has_perm(f"leads.{action}_{model}") for action in actions for model in MODELS)
        assert manager.has_perm("leads.view_user")
        assert not any(manager.has_perm(f"leads.{action}_user") for action in actions[1:])
        for elsewhere in (
            "apikeys.view_apikey",
            "webhooks.view_event",
            "calliyo.change_company",
            "auth.view_group",
        ):
            assert not manager.has_perm(elsewhere)
        assert not manager.has_module_perms("apikeys") and manager.has_module_perms("leads")

    def test_an_agent_works_on_leads_calls_follow_ups_and_notes_and_looks_at_the_rest(self) -> None:
        agent = UserFactory()
        for model in ("lead", "call", "followup", "note"):
            assert agent.has_perms([f"leads.{action}_{model}" for action in ("view", "add", "change")])
            assert not agent.has_perm(f"leads.delete_{model}")
        for model in ("tag", "campaign", "leadstatus", "user"):
            assert agent.has_perm(f"leads.view_{model}")
            assert not agent.has_perm(f"leads.change_{model}")
        assert not agent.has_perm("leads.view_deletion") and not agent.has_perm("leads.view_externalid")

    def test_the_banned_may_do_nothing(self) -> None:
        for role in Role:
            user = UserFactory(role=role, is_active=False)
            backend = RoleBackend()
            assert not backend.has_perm(user, "leads.view_lead") and not backend.has_module_perms(
                user, "leads"
            )
            assert not user.has_perm("leads.view_lead") and backend.get_all_permissions(user) == set()

    def test_what_is_spelled_out_is_what_is_allowed(self) -> None:
        agent = UserFactory()
        assert "leads.add_lead" in agent.get_all_permissions()
        assert all(agent.has_perm(permission) for permission in agent.get_all_permissions())
