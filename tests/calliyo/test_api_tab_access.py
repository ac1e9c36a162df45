"""Who may open the Settings, and what every answer of theirs bears."""

import pytest
from django.test import Client

from apikeys.models import APIKey
from calliyo.pages.urls import urlpatterns
from leads.models import Role, User
from tests.calliyo.conftest import TAB, text_of

PATHS = [
    "/" + str(pattern.pattern).replace("<int:key_id>", "404").replace("<int:webhook_id>", "404")
    for pattern in urlpatterns
]
OWN = "/settings/second-factor"  # everybody's, whatever his role
TARGETS = [
    path
    for path in PATHS
    if path not in {"/settings", "/settings/login", OWN} and not path.endswith("in-words")
]


@pytest.fixture
def manager(db):
    return User.objects.create_user(
        "ravi", "ravi@example.com", "battery staple", name="Ravi", role=Role.MANAGER
    )


def test_a_visitor_logs_in_and_lands_on_the_page_that_he_wanted(client, priya):
    wanted = f"{TAB}&key=12&panel=webhooks"
    response = client.get(wanted)
    assert response.status_code == 302
    login = response["Location"]
    assert login == "/admin/login/?next=/settings%3Ftab%3Dapi%26key%3D12%26panel%3Dwebhooks"
    response = client.post(login, {"username": "priya", "password": "correct horse", "next": wanted})
    assert (response.status_code, response["Location"]) == (302, wanted)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/settings/login"])
def test_every_address_sends_a_visitor_to_the_login(client, db, path):
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/?next=/settings")
    response = client.post(path)
    assert 'id="login-form"' in text_of(response)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("path", [path for path in PATHS if path not in {"/settings/login", OWN}])
def test_every_address_refuses_who_is_no_company_admin(client, manager, path):
    client.force_login(manager)
    for response in (client.get(path), client.post(path, {"name": "Mine"})):
        assert response.status_code == 403
        assert "This page is for company admins" in text_of(response)
    assert not APIKey.objects.exists()


def test_a_banned_admin_is_a_visitor(client, priya):
    client.force_login(priya)
    User.objects.filter(pk=priya.pk).update(is_active=False)
    assert client.get(TAB)["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", [*TARGETS, OWN])
def test_every_form_needs_its_csrf_token(priya, path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(priya)
    response = client.post(path, {"name": "Zoho production"})
    assert response.status_code == 403
    assert "Please send the form again" in text_of(response)
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("path", TARGETS)
def test_the_bare_address_of_a_form_leads_to_the_tab(desk, path):
    response = desk.client.get(path)
    assert (response.status_code, response["Location"]) == (302, TAB)


@pytest.mark.parametrize("path", [path for path in TARGETS if "404" in path])
def test_what_was_deleted_meanwhile_is_told(desk, path):
    response = desk.client.post(path, {"name": "x", "version": 1})
    assert (response.status_code, response["Location"]) == (302, TAB)
    assert "it was deleted meanwhile" in desk.notices()


def test_what_was_typed_for_a_key_that_is_gone_is_told_without_secrets(desk):
    typed = {
        "url": "https://a.example/<b>",
        "events": ["lead.created", "note.added"],
        "secret": "a very own secret",
    }
    desk.send("keys/404/webhooks", **typed, version="3", expires="")
    told = desk.notices()
    assert "You had entered: url: https://a.example/<b>; events: lead.created, note.added" in told
    assert "a very own secret" not in told
    desk.send("keys/404/rename", name="x" * 10_000)
    assert "…" in desk.notices()


@pytest.mark.parametrize("query", ["", "?tab=nonsense", "?tab=general"])
def test_an_address_without_a_tab_of_ours_leads_to_the_api_tab(desk, query):
    assert desk.client.get(f"/settings{query}")["Location"] == TAB


def test_pages_are_never_kept_and_allow_no_inline_code(desk):
    response = desk.client.get(TAB)
    assert "no-store" in response["Cache-Control"]
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page = text_of(response)
    assert "style=" not in page
    assert "onclick" not in page


@pytest.mark.parametrize(
    "query", ["&key=99999", "&key=99999999999999999999999", "&new=%00", "&q=%00%00", "&key=x"]
)
def test_odd_addresses_show_the_list(desk, query):
    response = desk.client.get(f"{TAB}{query}", follow=True)
    assert response.status_code == 200
    assert "Create API Key" in text_of(response)
