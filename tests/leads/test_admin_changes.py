"""What people do in the admin goes by the rules, and is one change each."""

import json
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from leads.models import (
    Activity,
    Call,
    Campaign,
    Customer,
    FollowUp,
    Lead,
    LeadStatus,
    Note,
    Role,
    StatusRole,
    Tag,
    User,
)
from tests.leads.factories import (
    PASSWORD,
    CallFactory,
    CampaignFactory,
    CompanyAdminFactory,
    CustomerFactory,
    FollowUpFactory,
    LeadFactory,
    NoteFactory,
    TagFactory,
    UserFactory,
    status_named,
    status_of,
)
from webhooks.models import Event

pytestmark = pytest.mark.django_db
LEADS = "/admin/leads/lead/"


@pytest.fixture
def admin() -> User:
    return CompanyAdminFactory(name="Meenal Raghunathan")


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def form_of(client: Client, address: str) -> dict[str, Any]:
    """What the page's form holds when it is opened, as a browser would send it back."""
    page = client.get(address)
    assert page.status_code == 200
    form = page.context["adminform"].form
    data: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        data |= _sent(bound.html_name, bound.field, value)
    return data


def _sent(name: str, field: Any, value: Any) -> dict[str, Any]:
    if value is None or value is False:
        return {}
    prepared = field.prepare_value(value)
    if hasattr(field.widget, "decompress"):
        parts = field.widget.decompress(prepared)
        return {f"{name}_{number}": part or "" for number, part in enumerate(parts)}
    return {name: prepared}


def events(*types: str) -> list[Event]:
    found = Event.objects.order_by("id")
    return list(found.filter(type__in=types) if types else found)


def changes_of(event: Event) -> dict[str, Any]:
    changes: dict[str, Any] = json.loads(event.payload)["data"]["changes"]
    return changes


def refused(answer: Any) -> str:
    assert answer.status_code == 200, "the form comes back"
    form = answer.context["adminform"].form
    assert form.errors
    return str(form.errors)


class TestLeads:
    def test_a_lead_edited_with_tags_is_one_update_by_the_user(self, staff: Client, admin: User) -> None:
        hot, emi = TagFactory(name="Hot"), TagFactory(name="EMI")
        lead = LeadFactory(first_name="Asha", tags=[emi])
        Event.objects.all().delete()
        data = form_of(staff, f"{LEADS}{lead.pk}/change/") | {"first_name": "Usha", "labels": [hot.pk]}
        assert staff.post(f"{LEADS}{lead.pk}/change/", data).status_code == 302
        (event,) = events()
        assert event.type == "lead.updated"
        assert changes_of(event) == {
            "first_name": {"from": "Asha", "to": "Usha"},
            "tags": {"from": ["EMI"], "to": ["Hot"]},
        }
        assert (event.actor_type, event.actor_id) == ("user", admin.pk)
        assert json.loads(event.payload)["actor"]["name"] == "Meenal Raghunathan"
        assert set(Activity.objects.values_list("kind", "actor_name")) == {
            ("details_changed", "Meenal Raghunathan"),
            ("tags_changed", "Meenal Raghunathan"),
        }

    def test_saving_an_untouched_form_changes_nothing(self, staff: Client) -> None:
        lead = LeadFactory(owner=UserFactory(), campaign=CampaignFactory(), tags=[TagFactory()])
        Event.objects.all().delete()
        data = form_of(staff, f"{LEADS}{lead.pk}/change/")
        assert staff.post(f"{LEADS}{lead.pk}/change/", data).status_code == 302
        assert not events() and not Activity.objects.exists()
        version = lead.version
        lead.refresh_from_db()
        assert lead.version == version + 1  # the tag, set after it was made

    def test_an_owner_set_in_the_form_moves_unassigned_to_assigned(self, staff: Client) -> None:
        lead, agent = LeadFactory(), UserFactory()
        data = form_of(staff, f"{LEADS}{lead.pk}/change/") | {"owner": agent.pk}
        staff.post(f"{LEADS}{lead.pk}/change/", data)
        lead.refresh_from_db()
        assert (lead.owner, lead.status.role) == (agent, StatusRole.ASSIGNED)

    def test_a_new_lead_is_made_by_the_rules(self, staff: Client) -> None:
        data = {
            "first_name": "Asha",
            "phone": "098765 43210",
            "owner": UserFactory().pk,
            "labels": [TagFactory().pk],
        }
        assert staff.post(f"{LEADS}add/", data).status_code == 302
        lead = Lead.objects.get()
        assert (lead.phone, lead.status.role, lead.tags.count()) == ("+919876543210", StatusRole.ASSIGNED, 1)
        assert [event.type for event in events()] == ["lead.created", "lead.assigned"]

    def test_a_number_that_exists_is_refused_beside_the_field_and_names_the_lead(self, staff: Client) -> None:
        lead = LeadFactory(first_name="Asha", last_name="Rao", phone="+919876543210")
        answer = staff.post(f"{LEADS}add/", {"first_name": "Other", "phone": "98765-43210"})
        assert f"Asha Rao (lead {lead.pk}) has this number already" in refused(answer)
        assert answer.context["adminform"].form.errors.keys() == {"phone"}
        assert Lead.objects.count() == 1

    def test_a_number_that_is_none_is_refused_in_clear_words(self, staff: Client) -> None:
        answer = staff.post(f"{LEADS}add/", {"first_name": "Other", "phone": "12345"})
        assert "too few or too many digits" in refused(answer)

    def test_a_full_agent_is_refused_beside_the_field_and_nothing_is_written(self, staff: Client) -> None:
        lead, agent = LeadFactory(first_name="Asha"), UserFactory(lead_cap=0)
        data = form_of(staff, f"{LEADS}{lead.pk}/change/") | {"owner": agent.pk, "first_name": "Usha"}
        answer = staff.post(f"{LEADS}{lead.pk}/change/", data)
        assert "may hold 0 leads" in refused(answer)
        assert answer.context["adminform"].form.errors.keys() == {"owner"} and "Usha" in answer.text
        lead.refresh_from_db()
        assert (lead.first_name, lead.owner) == ("Asha", None)

    def test_what_a_rival_made_impossible_is_told_in_the_form(self, staff: Client, monkeypatch) -> None:
        lead = LeadFactory(first_name="Asha")
        data = form_of(staff, f"{LEADS}{lead.pk}/change/") | {"first_name": "Usha"}

        def too_late(**_: Any) -> None:
            raise IntegrityError("a foreign key to a row that has gone")

        monkeypatch.setattr("leads.admin.lead.update_lead", too_late)
        answer = staff.post(f"{LEADS}{lead.pk}/change/", data)
        assert "Somebody else changed" in refused(answer) and "Usha" in answer.text

    def test_a_lead_shows_its_timeline_as_one_list(self, staff: Client) -> None:
        lead = LeadFactory()
        CallFactory(lead=lead, note="Asked for the fee")
        NoteFactory(lead=lead, text="Prefers evenings")
        FollowUpFactory(lead=lead, note="Call after lunch")
        Activity.objects.create(
            lead=lead,
            kind="status_changed",
            at="2026-11-24T06:00:00Z",
            data={"from": {"id": 1, "name": "Unassigned"}, "to": {"id": 3, "name": "Followups"}},
        )
        text = staff.get(f"{LEADS}{lead.pk}/change/").text
        for words in (
            "Asked for the fee",
            "1 min 35 s",
            "Prefers evenings",
            "Call after lunch",
            "Unassigned → Followups",
        ):
            assert words in text
        assert f"/admin/leads/call/add/?lead={lead.pk}" in text

    def test_deleting_leads_is_for_managers_and_admins(self, staff: Client, client: Client) -> None:
        lead = LeadFactory()
        CallFactory(lead=lead)
        assert staff.post(f"{LEADS}{lead.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Lead.objects.exists() and not Call.objects.exists()


class TestActions:
    def act(
        self, client: Client, action: str, leads: list[Lead], answers: dict[str, Any], **more: Any
    ) -> Any:
        selected = {"action": action, "_selected_action": [lead.pk for lead in leads], **more}
        page = client.post(LEADS, selected)
        assert page.status_code == 200 and "selected" in page.text
        return client.post(LEADS, selected | {"answered": "1", **answers}, follow=True)

    def test_leads_are_assigned_to_an_agent(self, staff: Client) -> None:
        leads, agent = LeadFactory.create_batch(2), UserFactory(name="Farheen Shaikh")
        answer = self.act(staff, "assign", leads, {"owner": agent.pk})
        assert "2 leads assigned to Farheen Shaikh." in answer.text
        assert Lead.objects.filter(owner=agent, status__role=StatusRole.ASSIGNED).count() == 2

    def test_what_a_rule_refuses_is_told_on_the_question(self, staff: Client) -> None:
        leads, agent = LeadFactory.create_batch(2), UserFactory(lead_cap=1)
        answer = self.act(staff, "assign", leads, {"owner": agent.pk})
        assert "may hold 1 leads" in answer.text and not Lead.objects.exclude(owner=None).exists()

    def test_leads_are_spread(self, staff: Client) -> None:
        leads, agents = LeadFactory.create_batch(4), UserFactory.create_batch(2)
        answer = self.act(staff, "spread", leads, {"agents": [agent.pk for agent in agents]})
        assert "4 leads spread" in answer.text
        assert [agent.leads.count() for agent in agents] == [2, 2]

    def test_leads_change_status(self, staff: Client) -> None:
        lead = LeadFactory()
        answer = self.act(staff, "change_status", [lead], {"status": status_named("Busy").pk})
        assert "1 lead moved to Busy." in answer.text

    def test_leads_are_converted_with_what_they_ordered_and_back(self, staff: Client) -> None:
        lead = LeadFactory()
        Event.objects.all().delete()
        order = {"amount": "1499.00", "currency": "INR", "plan": "Yearly", "payment_status": "paid"}
        assert "1 lead converted." in self.act(staff, "convert", [lead], order).text
        assert Customer.objects.get().plan == "Yearly"
        assert [event.type for event in events()] == ["lead.updated", "lead.status_changed", "lead.converted"]
        back = {"action": "unconvert", "_selected_action": [lead.pk], "answered": "1"}
        answer = staff.post(
            "/admin/leads/customer/", back | {"status": status_named("Interested").pk}, follow=True
        )
        assert "1 customer moved back to Interested." in answer.text and not Customer.objects.exists()

    def test_all_that_match_are_meant_when_a_person_selects_all(self, staff: Client) -> None:
        leads = LeadFactory.create_batch(3, status=status_named("Missed"))
        other = LeadFactory()
        address = f"{LEADS}?status__id__exact={status_named('Missed').pk}"
        data = {"action": "change_status", "_selected_action": [leads[0].pk], "select_across": "1"}
        assert "3 selected" in staff.post(address, data).text
        staff.post(address, data | {"answered": "1", "status": status_named("Busy").pk})
        assert Lead.objects.filter(status__name="Busy").count() == 3
        other.refresh_from_db()
        assert other.status.name == "Unassigned"

    def test_all_is_refused_where_it_is_more_than_was_counted(self, staff: Client, monkeypatch) -> None:
        monkeypatch.setattr("leads.admin.base.MOST_COUNTED", 2)
        leads = LeadFactory.create_batch(3)
        data = {"action": "assign", "_selected_action": [leads[0].pk], "select_across": "1"}
        assert "narrow the list" in staff.post(LEADS, data, follow=True).text

    def test_who_may_only_look_is_offered_no_action(self, client: Client) -> None:
        client.force_login(UserFactory())
        UserFactory()
        assert 'value="ban"' not in client.get("/admin/leads/user/").text


class TestOthers:
    def test_a_customers_order_is_written_with_his_lead(self, staff: Client) -> None:
        customer = CustomerFactory(amount="10.00", plan="Old")
        Event.objects.all().delete()
        address = f"/admin/leads/customer/{customer.pk}/change/"
        data = form_of(staff, address) | {"plan": "New", "amount": "12.500", "first_name": "Usha"}
        assert staff.post(address, data).status_code == 302
        customer.refresh_from_db()
        assert (customer.plan, str(customer.amount), customer.first_name) == ("New", "12.500", "Usha")
        assert [event.type for event in events()] == ["lead.updated"]
        answer = staff.post(address, form_of(staff, address) | {"currency": "rup"})
        assert "three capital letters" in refused(answer)

    def test_a_customer_moved_away_leaves_the_list(self, staff: Client) -> None:
        customer = CustomerFactory()
        address = f"/admin/leads/customer/{customer.pk}/change/"
        data = form_of(staff, address) | {"status": status_named("Interested").pk}
        assert staff.post(address, data).status_code == 302
        assert not Customer.objects.exists() and Lead.objects.get().plan == "Yearly"

    def test_a_call_logged_in_the_admin_settles_the_days_follow_up(self, staff: Client, admin: User) -> None:
        follow_up = FollowUpFactory(due_at="2026-11-24T06:30:00Z")
        address = f"/admin/leads/call/add/?lead={follow_up.lead_id}"
        data = form_of(staff, address)
        assert (data["lead"], data["agent"]) == (str(follow_up.lead_id), admin.pk)
        data |= {
            "status": "called",
            "started_at_0": "2026-11-24",
            "started_at_1": "13:00:00",
            "duration_seconds": "60",
        }
        assert staff.post(address, data).status_code == 302
        call = Call.objects.get()
        assert (call.duration_seconds, call.agent) == (60, admin)
        follow_up.refresh_from_db()
        assert follow_up.resolved_at is not None

    def test_a_call_is_corrected_and_contradictions_are_refused(self, staff: Client) -> None:
        call = CallFactory()
        address = f"/admin/leads/call/{call.pk}/change/"
        data = form_of(staff, address)
        assert (
            staff.post(address, data | {"note": "Sent the brochure", "duration_seconds": "30"}).status_code
            == 302
        )
        call.refresh_from_db()
        assert (call.note, call.duration_seconds, call.version) == ("Sent the brochure", 30, 2)
        answer = staff.post(address, form_of(staff, address) | {"duration_seconds": "9000"})
        assert "longer than the call lasted" in refused(answer)

    def test_a_follow_up_is_scheduled_ticked_off_and_opened_again(self, staff: Client) -> None:
        lead = LeadFactory(owner=UserFactory())
        address = f"/admin/leads/followup/add/?lead={lead.pk}"
        data = form_of(staff, address) | {"due_at_0": "2030-01-02", "due_at_1": "12:00:00", "note": "Fees"}
        assert staff.post(address, data).status_code == 302
        follow_up = FollowUp.objects.get()
        lead.refresh_from_db()
        assert (follow_up.owner, lead.status.role) == (lead.owner, StatusRole.FOLLOWUPS)
        address = f"/admin/leads/followup/{follow_up.pk}/change/"
        staff.post(address, form_of(staff, address) | {"done": "on"})
        follow_up.refresh_from_db()
        assert follow_up.resolved_at is not None and events("followup.completed")
        data = {"action": "reopen", "_selected_action": [follow_up.pk]}
        staff.post("/admin/leads/followup/?due=all", data)
        follow_up.refresh_from_db()
        assert follow_up.resolved_at is None
        staff.post("/admin/leads/followup/", data | {"action": "resolve"})
        follow_up.refresh_from_db()
        assert follow_up.resolved_at is not None

    def test_a_note_is_the_persons_who_writes_it(self, staff: Client, admin: User) -> None:
        lead = LeadFactory()
        data = {"lead": lead.pk, "text": "Prefers evenings"}
        assert staff.post("/admin/leads/note/add/", data).status_code == 302
        note = Note.objects.get()
        assert (note.author_type, note.author_id, note.author_name) == ("user", admin.pk, admin.name)
        staff.post(f"/admin/leads/note/{note.pk}/change/", {"text": "Prefers mornings"})
        note.refresh_from_db()
        assert note.text == "Prefers mornings"

    def test_a_tag_is_unique_without_regard_to_case(self, staff: Client) -> None:
        tag = TagFactory(name="Hot")
        lead = LeadFactory(tags=[tag])
        assert "a tag of this name already" in refused(staff.post("/admin/leads/tag/add/", {"name": "HOT"}))
        Event.objects.all().delete()
        staff.post(f"/admin/leads/tag/{tag.pk}/change/", {"name": "Warm"})
        (event,) = events()
        assert changes_of(event) == {"tags": {"from": ["Hot"], "to": ["Warm"]}}
        assert "Warm (on 1 lead)" in staff.get(f"/admin/leads/tag/{tag.pk}/delete/").text
        staff.post(f"/admin/leads/tag/{tag.pk}/delete/", {"post": "yes"})
        assert not Tag.objects.exists() and lead.tags.count() == 0

    def test_a_campaign_has_its_agents(self, staff: Client) -> None:
        agents = UserFactory.create_batch(2)
        data = {"name": "Diwali", "status": "active", "team": [agent.pk for agent in agents]}
        assert staff.post("/admin/leads/campaign/add/", data).status_code == 302
        campaign = Campaign.objects.get()
        assert set(campaign.agents.all()) == set(agents)
        address = f"/admin/leads/campaign/{campaign.pk}/change/"
        staff.post(address, form_of(staff, address) | {"team": [agents[0].pk]})
        assert list(campaign.agents.all()) == [agents[0]]
        answer = staff.post(address, data | {"starts_on": "2026-02-01", "ends_on": "2026-01-01"})
        assert "ends after it starts" in refused(answer)

    def test_who_may_only_look_sees_a_campaigns_agents(self, client: Client) -> None:
        campaign = CampaignFactory()
        campaign.agents.add(UserFactory(name="Farheen Shaikh"))
        client.force_login(UserFactory())
        assert "Farheen Shaikh" in client.get(f"/admin/leads/campaign/{campaign.pk}/change/").text


class TestStatuses:
    ADDRESS = "/admin/leads/leadstatus/"

    def test_stages_are_added_renamed_and_moved(self, staff: Client) -> None:
        assert staff.post(f"{self.ADDRESS}add/", {"name": "Call later"}).status_code == 302
        status = status_named("Call later")
        assert status == LeadStatus.objects.last()
        staff.post(f"{self.ADDRESS}{status.pk}/change/", {"name": "Later", "position": "0"})
        status.refresh_from_db()
        assert (status.name, status) == ("Later", LeadStatus.objects.first())

    @pytest.mark.parametrize("role", [StatusRole.UNASSIGNED, StatusRole.FOLLOWUPS, StatusRole.CUSTOMER])
    def test_protected_ones_keep_their_names_and_stay(self, role: StatusRole, staff: Client) -> None:
        status = status_of(role)
        staff.post(f"{self.ADDRESS}{status.pk}/change/", {"name": "Other", "position": "3"})
        assert staff.post(f"{self.ADDRESS}{status.pk}/delete/", {}).status_code == 404
        assert status_of(role).name == status.name

    def test_deleting_asks_where_the_leads_go(self, staff: Client) -> None:
        busy = status_named("Busy")
        lead = LeadFactory(status=busy)
        address = f"{self.ADDRESS}{busy.pk}/delete/"
        assert "Busy has 1 lead." in staff.get(address).text
        assert "say which status" in staff.post(address, {"move_to": ""}).text
        assert staff.post(address, {"move_to": status_named("Missed").pk}).status_code == 302
        lead.refresh_from_db()
        assert lead.status.name == "Missed" and not LeadStatus.objects.filter(name="Busy").exists()
        assert staff.post(f"{self.ADDRESS}{status_named('Wrong Number').pk}/delete/", {}).status_code == 302


class TestUsers:
    ADDRESS = "/admin/leads/user/"

    def test_a_user_is_added_with_role_and_password(self, staff: Client, client: Client) -> None:
        data = {
            "username": "farheen",
            "name": "Farheen Shaikh",
            "email": "farheen@example.com",
            "phone": "098765 43210",
            "role": "agent",
            "lead_cap": "40",
            "password1": "a long pass phrase",
            "password2": "a long pass phrase",
        }
        answer = staff.post(f"{self.ADDRESS}add/", data)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        user = User.objects.get(username="farheen")
        assert user.phone == "+919876543210"
        assert (user.role, user.lead_cap, user.is_staff, user.is_superuser) == (Role.AGENT, 40, True, False)
        login = {"username": "FARHEEN@example.com", "password": "a long pass phrase"}
        assert client.post("/admin/login/", login).status_code == 302
        staff.force_login(CompanyAdminFactory())
        again = data | {"username": "FARHEEN", "email": "Farheen@example.com"}
        answer = staff.post(f"{self.ADDRESS}add/", again)
        assert answer.context["adminform"].form.errors

    def test_role_cap_and_ban_are_changed(self, staff: Client) -> None:
        user = UserFactory()
        address = f"{self.ADDRESS}{user.pk}/change/"
        data = form_of(staff, address) | {"role": "manager", "lead_cap": "5"}
        data.pop("is_active")
        assert staff.post(address, data).status_code == 302
        user.refresh_from_db()
        assert (user.role, user.lead_cap, user.is_active) == (Role.MANAGER, 5, False)
        assert user.check_password(PASSWORD)
        for action, active in (("lift_ban", True), ("ban", False)):
            staff.post(self.ADDRESS, {"action": action, "_selected_action": [user.pk]})
            user.refresh_from_db()
            assert user.is_active == active

    def test_the_last_company_admin_stays(self, staff: Client, admin: User) -> None:
        address = f"{self.ADDRESS}{admin.pk}/change/"
        answer = staff.post(address, form_of(staff, address) | {"role": "agent"})
        assert "last active company admin" in refused(answer)
        data = {"action": "ban", "_selected_action": [admin.pk]}
        assert "last active company admin" in staff.post(self.ADDRESS, data, follow=True).text
        answer = staff.post(f"{self.ADDRESS}{admin.pk}/delete/", {"post": "yes"}, follow=True)
        assert "last active company admin" in answer.text
        admin.refresh_from_db()
        assert admin.is_active and admin.role == Role.COMPANY_ADMIN

    def test_a_user_with_history_is_banned_not_deleted(self, staff: Client) -> None:
        user = UserFactory(name="Farheen Shaikh")
        LeadFactory(owner=user)
        answer = staff.post(f"{self.ADDRESS}{user.pk}/delete/", {"post": "yes"}, follow=True)
        assert "Farheen Shaikh has leads and can&#x27;t be deleted. Ban the user instead." in answer.text
        data = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
        assert "Ban the user instead" in staff.post(self.ADDRESS, data, follow=True).text
        assert User.objects.filter(pk=user.pk).exists()
        Lead.objects.all().delete()
        staff.post(f"{self.ADDRESS}{user.pk}/delete/", {"post": "yes"})
        assert not User.objects.filter(pk=user.pk).exists()

    def test_a_superuser_who_ceases_to_be_admin_is_none(self, staff: Client) -> None:
        user = UserFactory(role=Role.COMPANY_ADMIN, is_superuser=True)
        address = f"{self.ADDRESS}{user.pk}/change/"
        staff.post(address, form_of(staff, address) | {"role": "agent"})
        user.refresh_from_db()
        assert not user.is_superuser and not user.has_perm("leads.delete_lead")

    def test_the_password_has_its_own_page(self, staff: Client) -> None:
        user = UserFactory()
        address = f"{self.ADDRESS}{user.pk}/password/"
        assert staff.get(address).status_code == 200
        data = {
            "usable_password": "true",
            "password1": "another pass phrase",
            "password2": "another pass phrase",
        }
        assert staff.post(address, data).status_code == 302
        user.refresh_from_db()
        assert user.check_password("another pass phrase")
