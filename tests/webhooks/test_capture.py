"""Which events fire: from every way of writing, once a unit of work, and nothing for what did not happen."""

import json
import time
from datetime import timedelta

import pytest
from django.db import IntegrityError, NotSupportedError, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper
from django.utils import timezone

from apikeys.models import APIKey
from calliyo.actor import Actor, ActorType, acting_as
from calliyo.unit_of_work import unit_of_work
from leads.models import (
    Call,
    Campaign,
    Customer,
    Deletion,
    ExternalId,
    FollowUp,
    Lead,
    LeadStatus,
    LeadTag,
    Note,
    Tag,
    User,
)
from webhooks.models import Delivery, Event, Webhook

pytestmark = pytest.mark.django_db

NEW = ["lead.created"]


def status(role: str) -> LeadStatus:
    return LeadStatus.objects.get(role=role)


def new_lead(phone: str = "+919800000001", **values) -> Lead:
    return Lead.objects.create(
        **{"first_name": "Asha", "phone": phone, "status": status("unassigned"), **values}
    )


def new_user(username: str = "ravi") -> User:
    return User.objects.create(username=username, name=username.title(), email=f"{username}@example.com")


class Fired:
    """The events since it was made, or since `again`."""

    def __init__(self) -> None:
        self.seen = 0
        self.again()

    def again(self) -> None:
        self.seen = max(Event.objects.values_list("id", flat=True), default=0)

    def bodies(self) -> list[dict]:
        return [json.loads(event.payload) for event in Event.objects.filter(id__gt=self.seen).order_by("id")]

    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies()]

    def changes(self) -> dict:
        (body,) = [body for body in self.bodies() if body["type"] == "lead.updated"]
        return body["data"]["changes"]


@pytest.fixture
def lead(db) -> Lead:
    return new_lead()


@pytest.fixture
def fired(lead) -> Fired:
    return Fired()


def test_a_new_lead_fires_created_only(db):
    fired = Fired()
    lead = new_lead(last_name="Rao")
    (body,) = fired.bodies()
    assert body["type"] == "lead.created"
    assert body["api_version"] == "2026-11-01"
    assert body["actor"] == {"type": "system", "id": None, "name": "Calliyo", "request_id": None}
    assert body["data"] == {
        "lead": {
            "id": lead.pk,
            "version": 1,
            "first_name": "Asha",
            "last_name": "Rao",
            "phone": "+919800000001",
            "email": "",
            "status": {"id": status("unassigned").pk, "name": "Unassigned"},
            "owner_id": None,
            "campaign_id": None,
            "source": "",
            "tags": [],
            "external_id": None,
            "created_at": body["timestamp"],
            "updated_at": body["timestamp"],
            "converted_at": None,
        }
    }


def test_a_lead_created_with_an_owner_as_a_customer_fires_these_too_from_null(db):
    user, fired = new_user(), Fired()
    new_lead(owner=user, status=status("customer"))
    assert fired.types() == ["lead.created", "lead.assigned", "lead.converted"]
    _, assigned, converted = fired.bodies()
    assert assigned["data"]["changes"]["owner_id"] == {"from": None, "to": user.pk}
    assert assigned["data"]["changes"] == converted["data"]["changes"]


def test_all_that_a_save_changes_comes_in_the_contracts_order_with_the_same_changes(lead, fired):
    lead.status, lead.owner, lead.last_name = status("customer"), new_user(), "Rao"
    lead.save()
    assert fired.types() == ["lead.updated", "lead.status_changed", "lead.assigned", "lead.converted"]
    changes = [body["data"]["changes"] for body in fired.bodies()]
    assert all(change == changes[0] for change in changes)
    assert changes[0].keys() == {"last_name", "status", "owner_id", "converted_at"}
    assert changes[0]["status"] == {
        "from": {"id": status("unassigned").pk, "name": "Unassigned"},
        "to": {"id": status("customer").pk, "name": "Customer"},
    }


def test_the_actor_is_told_and_his_request(lead, fired):
    with acting_as(Actor(type=ActorType.USER, id=7, name="Priya Nair", request_id="req-1")):
        lead.last_name = "Rao"
        lead.save()
    (body,) = fired.bodies()
    assert body["actor"] == {"type": "user", "id": 7, "name": "Priya Nair", "request_id": "req-1"}


def test_a_save_that_changes_nothing_fires_nothing_and_keeps_the_version(lead, fired):
    lead.save()
    Lead.objects.get(pk=lead.pk).save(update_fields=["first_name"])
    lead.refresh_from_db()
    assert fired.types() == [] and lead.version == 1


def test_a_stale_instance_that_saves_over_a_newer_row_tells_what_it_undid(lead, fired):
    stale = Lead.objects.get(pk=lead.pk)
    Lead.objects.filter(pk=lead.pk).update(last_name="Rao")
    fired.again()
    stale.first_name = "Aisha"
    stale.save()
    assert fired.changes() == {
        "first_name": {"from": "Asha", "to": "Aisha"},
        "last_name": {"from": "Rao", "to": ""},
    }
    stale.refresh_from_db()
    assert stale.version == 3


def test_update_fields_write_only_these(lead, fired):
    lead.first_name, lead.last_name = "Aisha", "Rao"
    lead.save(update_fields=["last_name"])
    assert fired.changes() == {"last_name": {"from": "", "to": "Rao"}}
    lead.refresh_from_db()
    assert (lead.first_name, lead.version) == ("Asha", 2)


def test_expressions_are_told_by_what_they_became(lead, fired):
    Lead.objects.update(first_name=Upper(F("first_name")), last_name=Concat(F("first_name"), Value("!")))
    assert fired.changes() == {
        "first_name": {"from": "Asha", "to": "ASHA"},
        "last_name": {"from": "", "to": "Asha!"},
    }
    fired.again()
    lead.refresh_from_db()
    lead.last_name = Concat(F("last_name"), Value("?"))
    lead.save()
    assert fired.changes() == {"last_name": {"from": "Asha!", "to": "Asha!?"}}


def test_update_of_many_fires_for_each_that_changed(lead, fired):
    other = new_lead("+919800000002", last_name="Rao")
    fired.again()
    assert Lead.objects.update(last_name="Rao") == 2
    (body,) = fired.bodies()
    assert body["data"]["lead"]["id"] == lead.pk != other.pk


def test_update_through_a_relation_and_with_distinct(lead, fired):
    tag = Tag.objects.create(name="hot")
    lead.tags.add(tag)
    fired.again()
    assert (
        Lead.objects.filter(tags__name="hot", status__role="unassigned").distinct().update(source="web") == 1
    )
    assert fired.changes() == {"source": {"from": "", "to": "web"}}


def test_update_keeps_when_the_lead_became_a_customer(lead, fired):
    Lead.objects.update(status=status("customer"))
    lead.refresh_from_db()
    since = lead.converted_at
    assert since is not None and fired.types() == ["lead.updated", "lead.status_changed", "lead.converted"]
    Lead.objects.update(status_id=status("customer").pk, last_name="Rao")
    lead.refresh_from_db()
    assert lead.converted_at == since
    fired.again()
    Lead.objects.update(status=status("followups"))
    lead.refresh_from_db()
    assert lead.converted_at is None and fired.types() == ["lead.updated", "lead.status_changed"]
    assert Deletion.objects.filter(resource="customers", object_id=lead.pk).count() == 1


def test_bulk_create_fires_for_each(db):
    fired = Fired()
    made = Lead.objects.bulk_create(
        Lead(first_name=f"L{n}", phone=f"+91980000010{n}", status=status("unassigned")) for n in range(3)
    )
    assert fired.types() == NEW * 3
    assert [lead.version for lead in made] == [1, 1, 1] and all(lead.updated_at for lead in made)


def test_bulk_create_that_ignores_conflicts_is_refused(db):
    with pytest.raises(NotSupportedError):
        Lead.objects.bulk_create([Lead(first_name="A")], ignore_conflicts=True)


def test_an_upsert_in_bulk_tells_new_from_changed(lead, fired):
    rows = [
        Lead(first_name="New", phone="+919800000009", status=status("unassigned")),
        Lead(first_name="Aisha", phone=lead.phone, status=status("customer")),
    ]
    Lead.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["phone"], update_fields=["first_name", "status"]
    )
    assert sorted(fired.types()) == ["lead.converted", "lead.created", "lead.status_changed", "lead.updated"]
    lead.refresh_from_db()
    assert (lead.first_name, lead.version) == ("Aisha", 2) and lead.converted_at is not None


def test_bulk_update_is_one_change_a_lead(lead, fired):
    lead.first_name, lead.status = "Aisha", status("customer")
    Lead.objects.bulk_update([lead], ["first_name", "status"])
    assert fired.types() == ["lead.updated", "lead.status_changed", "lead.converted"]
    lead.refresh_from_db()
    assert lead.version == 2


def test_tags_change_their_lead_from_both_sides(lead, fired):
    hot, cold = Tag.objects.create(name="hot"), Tag.objects.create(name="Cold")
    lead.tags.add(hot, cold)
    assert fired.changes() == {"tags": {"from": [], "to": ["Cold", "hot"]}}
    fired.again()
    lead.tags.add(hot)
    assert fired.types() == []
    lead.tags.set([hot])
    assert fired.changes() == {"tags": {"from": ["Cold", "hot"], "to": ["hot"]}}
    fired.again()
    lead.tags.set([cold])
    assert fired.changes() == {"tags": {"from": ["hot"], "to": ["Cold"]}}
    lead.tags.set([hot])
    fired.again()
    hot.leads.clear()
    assert fired.changes() == {"tags": {"from": ["hot"], "to": []}}
    fired.again()
    hot.leads.add(lead)
    assert fired.changes() == {"tags": {"from": [], "to": ["hot"]}}
    fired.again()
    LeadTag.objects.filter(tag=hot).delete()
    assert fired.changes() == {"tags": {"from": ["hot"], "to": []}}
    fired.again()
    LeadTag.objects.bulk_create([LeadTag(lead=lead, tag=cold)])
    assert fired.changes() == {"tags": {"from": [], "to": ["Cold"]}}
    lead.refresh_from_db()
    assert lead.version == 11  # a set that takes and gives grows it by two


def test_renaming_or_deleting_a_tag_changes_its_leads(lead, fired):
    tag = Tag.objects.create(name="hot")
    lead.tags.add(tag)
    fired.again()
    Tag.objects.filter(pk=tag.pk).update(name="warm")
    assert fired.changes() == {"tags": {"from": ["hot"], "to": ["warm"]}}
    fired.again()
    tag.name = "lukewarm"
    tag.save()
    assert fired.changes() == {"tags": {"from": ["warm"], "to": ["lukewarm"]}}
    fired.again()
    Tag.objects.all().delete()
    assert fired.changes() == {"tags": {"from": ["lukewarm"], "to": []}}


def test_renaming_a_status_changes_no_lead(lead, fired):
    assigned = status("assigned")
    lead.status = assigned
    lead.save()
    fired.again()
    assigned.name = "Handed out"
    assigned.save()
    assert fired.types() == []


def test_a_status_that_is_deleted_once_its_leads_have_moved_is_named(lead, fired):
    Lead.objects.update(status=status("assigned"))
    fired.again()
    with unit_of_work():
        Lead.objects.update(status=status("followups"))
        gone = status("assigned").pk
        status("assigned").delete()
    assert fired.changes()["status"]["from"] == {"id": gone, "name": "Assigned"}


def test_a_deleted_owner_or_campaign_leaves_its_leads_by_a_told_change(lead, fired):
    lead.owner, lead.campaign = new_user(), Campaign.objects.create(name="Diwali")
    lead.save()
    fired.again()
    owner = lead.owner.pk
    lead.owner.delete()
    assert fired.types() == ["lead.updated", "lead.assigned"]
    assert fired.changes() == {"owner_id": {"from": owner, "to": None}}
    fired.again()
    Campaign.objects.all().delete()
    assert fired.changes().keys() == {"campaign_id"}


def test_order_facts_and_external_ids_move_the_version_and_fire_nothing(lead, fired):
    Customer.rows.filter(pk=lead.pk).update(plan="Gold")
    ExternalId.objects.create(lead=lead, api_key_id=1, value="Z-1")
    lead.refresh_from_db()
    assert fired.types() == [] and lead.version == 3


def test_in_a_unit_a_leads_changes_are_one_from_first_to_last_picture(lead, fired):
    with unit_of_work():
        for name in ("B", "C", "D"):
            lead.last_name = name
            lead.save()
        lead.tags.add(Tag.objects.create(name="hot"))
        Lead.objects.update(source="web")
    assert fired.changes() == {
        "last_name": {"from": "", "to": "D"},
        "tags": {"from": [], "to": ["hot"]},
        "source": {"from": "", "to": "web"},
    }


def test_there_and_back_in_a_unit_is_nothing(lead, fired):
    with unit_of_work():
        lead.status = status("customer")
        lead.save()
        lead.status = status("unassigned")
        lead.save()
    assert fired.types() == []


def test_a_customer_who_left_and_came_back_in_a_unit_is_nothing(lead, fired):
    Lead.objects.update(status=status("customer"))
    fired.again()
    time.sleep(0.002)
    with unit_of_work():
        Lead.objects.update(status=status("unassigned"))
        Lead.objects.update(status=status("customer"))
    assert fired.types() == []


def test_outside_a_unit_each_save_stands_for_itself_even_in_a_transaction(lead, fired):
    with transaction.atomic():
        for name in ("B", "C"):
            lead.last_name = name
            lead.save()
    assert fired.types() == ["lead.updated"] * 2


def test_made_and_deleted_in_a_unit_is_nothing(db):
    fired = Fired()
    with unit_of_work():
        lead = new_lead()
        Note.objects.create(lead=lead, text="hello")
        lead.delete()
    assert fired.types() == []


def test_a_unit_that_fails_fires_nothing(lead, fired):
    @unit_of_work
    def fail() -> None:
        lead.last_name = "Rao"
        lead.save()
        new_lead(lead.phone)

    with pytest.raises(IntegrityError):
        fail()
    lead.refresh_from_db()
    assert fired.types() == [] and lead.last_name == ""


def test_what_a_rolled_back_savepoint_did_is_not_told(lead, fired):
    @unit_of_work
    def fail() -> None:
        lead.last_name = "never"
        lead.save()
        new_lead("+919800000005")
        raise ZeroDivisionError

    with unit_of_work():
        with pytest.raises(ZeroDivisionError):
            fail()
        lead.refresh_from_db()
        lead.source = "web"
        lead.save()
    assert fired.changes() == {"source": {"from": "", "to": "web"}}
    assert fired.types() == ["lead.updated"]


def test_a_picture_from_before_the_savepoint_outlives_it(lead, fired):
    @transaction.atomic
    def fail() -> None:
        Lead.objects.update(last_name="never", source="never")
        raise ZeroDivisionError

    with unit_of_work():
        lead.last_name = "Rao"
        lead.save()
        with pytest.raises(ZeroDivisionError):
            fail()
    assert fired.changes() == {"last_name": {"from": "", "to": "Rao"}}


def test_a_call_completes_once(lead, fired):
    call = Call.objects.create(lead=lead, status="in_progress", started_at=timezone.now())
    assert fired.types() == []
    call.status, call.duration_seconds = "called", 30
    call.save()
    (body,) = fired.bodies()
    assert body["type"] == "call.completed" and body["data"].keys() == {"call", "lead"}
    assert body["data"]["call"]["connected"] is True and body["data"]["lead"]["id"] == lead.pk
    Call.objects.update(status="in_progress")
    Call.objects.update(status="busy")
    call.delete()
    assert fired.types() == ["call.completed"]


def test_a_call_written_as_ended_completes(lead, fired):
    Call.objects.bulk_create([Call(lead=lead, status="missed", started_at=timezone.now())])
    running = Call.objects.create(lead=lead, status="in_progress", started_at=timezone.now())
    Call.objects.filter(pk=running.pk).update(status="no_answer")
    assert fired.types() == ["call.completed"] * 2


def test_follow_ups_are_told_when_made_and_each_time_they_are_resolved(lead, fired):
    due = timezone.now() + timedelta(days=1)
    follow_up = FollowUp.objects.create(lead=lead, due_at=due)
    for resolved_at in (timezone.now(), None, timezone.now()):
        follow_up.resolved_at = resolved_at
        follow_up.save()
    assert fired.types() == ["followup.created", "followup.completed", "followup.completed"]
    assert [body["data"]["follow_up"]["status"] for body in fired.bodies()] == [
        "open",
        "resolved",
        "resolved",
    ]


def test_a_note_is_told_when_added_and_not_when_changed(lead, fired):
    note = Note.objects.create(
        lead=lead, text="called back", author_type="user", author_id=3, author_name="Ravi"
    )
    note.text = "called back twice"
    note.save()
    (body,) = fired.bodies()
    assert body["type"] == "note.added"
    assert body["data"]["note"]["author"] == {"type": "user", "id": 3, "name": "Ravi"}


def test_a_deleted_leads_events_stay_and_all_that_goes_is_noted(lead, fired):
    note = Note.objects.create(lead=lead, text="bye")
    lead_id = lead.pk
    lead.delete()
    assert Event.objects.filter(lead_id=lead_id).count() == 2
    assert set(Deletion.objects.values_list("resource", "object_id")) == {
        ("leads", lead_id),
        ("notes", note.pk),
    }


def test_a_long_note_is_cut_so_that_the_body_is_at_most_20_kb(lead, fired):
    Note.objects.create(lead=lead, text='"ü\n' * 20_000)
    event = Event.objects.latest("id")
    body = json.loads(event.payload)
    assert 19_000 < len(event.payload.encode()) <= 20_000
    assert body["data"]["shortened"] == ["note.text"] and body["data"]["note"]["text"].endswith("…")


def test_each_active_subscriber_gets_its_own_delivery_and_the_key_that_skips_its_own_changes_none(lead):
    key = APIKey.objects.create(name="Zoho", digest="a" * 64, prefix="cly_live_abcd", scopes=["leads:read"])
    both = ["lead.updated", "lead.created"]
    wanted = Webhook.objects.create(api_key=key, url="https://example.com/1", events=both)
    own = Webhook.objects.create(api_key=key, url="https://example.com/2", events=both, skip_own=True)
    Webhook.objects.create(api_key=key, url="https://example.com/3", events=["note.added"])
    Webhook.objects.create(
        api_key=key, url="https://example.com/4", events=both, active=False, off_reason="by_hand"
    )
    lead.last_name = "Rao"
    lead.save()
    assert list(Delivery.objects.order_by("webhook").values_list("webhook", "type", "state", "lead_id")) == [
        (wanted.pk, "lead.updated", "waiting", lead.pk),
        (own.pk, "lead.updated", "waiting", lead.pk),
    ]
    with acting_as(Actor(type=ActorType.API_KEY, id=key.pk, name="Zoho")):
        lead.last_name = "Iyer"
        lead.save()
    assert (
        Delivery.objects.filter(webhook=wanted).count() == 2
        and Delivery.objects.filter(webhook=own).count() == 1
    )


def test_the_statements_that_a_save_adds_do_not_grow_with_the_webhooks(
    lead, django_assert_num_queries, django_assert_max_num_queries
):
    key = APIKey.objects.create(name="Zoho", digest="a" * 64, prefix="cly_live_abcd", scopes=["leads:read"])
    lead.last_name = "A"
    with django_assert_max_num_queries(8) as without:
        lead.save()
    Webhook.objects.bulk_create(
        Webhook(api_key=key, url=f"https://example.com/{n}", events=["lead.updated"]) for n in range(10)
    )
    lead.last_name = "B"
    with django_assert_num_queries(len(without.captured_queries)):
        lead.save()
    assert Delivery.objects.count() == 10
