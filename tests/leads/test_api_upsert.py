"""`POST /public/leads?on_duplicate=…`: a lead that is known already is updated or left, by its external id or phone."""

import json

import pytest

from leads.models import Activity, Lead
from tests.leads.factories import LeadFactory, UserFactory
from webhooks.models import Event

LEAD = {"first_name": "Asha", "phone": "98765 43210"}
UPDATE = "/public/leads?on_duplicate=update"
IGNORE = "/public/leads?on_duplicate=ignore"


@pytest.fixture
def sync(client_with):
    return client_with("leads:read", "leads:write")


def assert_refused(answer, status, code, field):
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["code"] == code and field in [error["field"] for error in body["errors"]], body
    return body


@pytest.mark.parametrize("path", [UPDATE, IGNORE])
def test_an_unknown_lead_is_created(sync, path):
    answer = sync.post(path, LEAD | {"external_id": "Z1"})
    assert answer.status_code == 201
    assert answer["Location"] == f"/public/leads/{answer.json()['id']}"
    assert Event.objects.get().type == "lead.created"


def test_a_known_phone_is_updated_with_what_is_named_and_no_more(sync):
    known = sync.post("/public/leads", LEAD | {"source": "web", "last_name": "Nair"}).json()
    answer = sync.post(UPDATE, {"first_name": "Usha", "phone": "+91 98765-43210", "external_id": "Z1"})
    assert answer.status_code == 200
    lead = answer.json()
    moved = {"version": lead["version"], "updated_at": lead["updated_at"]}
    assert lead == known | {"first_name": "Usha", "external_id": "Z1"} | moved
    assert lead["version"] > known["version"]
    assert answer["ETag"] == sync.get(f"/public/leads/{lead['id']}")["ETag"]
    (updated,) = Event.objects.filter(type="lead.updated")
    assert list(json.loads(updated.payload)["data"]["changes"]) == ["first_name"]
    assert Lead.objects.count() == 1


def test_the_same_once_more_changes_nothing(sync):
    first = sync.post(UPDATE, LEAD | {"external_id": "Z1"}).json()
    again = sync.post(UPDATE, LEAD | {"external_id": "Z1"})
    assert (again.status_code, again.json()) == (200, first)
    assert Event.objects.count() == 1


def test_a_known_lead_is_ignored(sync):
    known = sync.post("/public/leads", LEAD | {"external_id": "Z1"}).json()
    for sent in (
        {"first_name": "X", "phone": LEAD["phone"]},
        {"first_name": "X", "phone": "9876543211", "external_id": "Z1"},
    ):
        answer = sync.post(IGNORE, sent)
        assert (answer.status_code, answer.json()) == (200, known)
    assert (Lead.objects.get().first_name, Event.objects.count(), Activity.objects.count()) == ("Asha", 1, 1)


def test_the_external_id_is_matched_before_the_phone(sync):
    known = sync.post("/public/leads", LEAD | {"external_id": "Z1"}).json()
    moved = sync.post(UPDATE, LEAD | {"phone": "9876543211", "external_id": "Z1"})
    assert (moved.status_code, moved.json()["id"]) == (200, known["id"])
    assert moved.json()["phone"] == "+919876543211"
    assert Lead.objects.count() == 1


def test_a_phone_is_never_taken_from_another_lead(sync):
    sync.post("/public/leads", LEAD | {"external_id": "Z1"})
    other = LeadFactory(phone="+919876543211")
    before = [(lead.pk, lead.version) for lead in Lead.objects.order_by("pk")]
    events = Event.objects.count()
    answer = sync.post(UPDATE, {"first_name": "New", "phone": "9876543211", "external_id": "Z1"})
    body = assert_refused(answer, 409, "duplicate_phone", "phone")
    assert body["existing_id"] == other.pk
    assert [(lead.pk, lead.version) for lead in Lead.objects.order_by("pk")] == before
    assert Event.objects.count() == events


def test_external_ids_are_matched_within_the_key(sync, client_with):
    sync.post("/public/leads", LEAD | {"external_id": "Z1"})
    other = client_with("leads:read", "leads:write")
    answer = other.post(UPDATE, {"first_name": "Ravi", "phone": "9876543211", "external_id": "Z1"})
    assert answer.status_code == 201
    assert Lead.objects.count() == 2


def test_without_on_duplicate_each_is_a_409(sync):
    known = sync.post("/public/leads", LEAD | {"external_id": "Z1"}).json()
    by_id = sync.post("/public/leads", LEAD | {"phone": "9876543211", "external_id": "Z1"})
    by_phone = sync.post("/public/leads", LEAD | {"external_id": "Z2"})
    both = sync.post("/public/leads", LEAD | {"external_id": "Z1"})
    for answer, code, field in (
        (by_id, "duplicate_external_id", "external_id"),
        (by_phone, "duplicate_phone", "phone"),
        (both, "duplicate_external_id", "external_id"),
    ):
        assert assert_refused(answer, 409, code, field)["existing_id"] == known["id"]
    assert Lead.objects.count() == Event.objects.count() == 1


def test_the_pipelines_rules_hold(sync):
    sync.post("/public/leads", LEAD)
    owner = UserFactory(lead_cap=1)
    answer = sync.post(UPDATE, LEAD | {"owner_id": owner.pk})
    assert (answer.status_code, answer.json()["status"]["name"]) == (200, "Assigned")
    full = sync.post(UPDATE, {"first_name": "Ravi", "phone": "9876543211", "owner_id": owner.pk})
    assert_refused(full, 409, "lead_cap_reached", "owner_id")
    assert Lead.objects.count() == 1


@pytest.mark.parametrize("value", ["", "merge", "UPDATE", "update&on_duplicate=ignore"])
def test_another_word_is_refused(sync, value):
    answer = sync.post(f"/public/leads?on_duplicate={value}", LEAD)
    assert_refused(answer, 400, "validation_failed", "on_duplicate")
    assert not Lead.objects.exists()


@pytest.mark.parametrize("known", [False, True])
def test_a_key_that_may_only_write_updates_nothing_and_ignores_in_silence(client_with, known):
    form = client_with("leads:write")
    if known:
        LeadFactory(phone="+919876543210", first_name="Known")
    before = Lead.objects.count()
    assert_refused(form.post(UPDATE, LEAD), 403, "insufficient_scope", "on_duplicate")
    assert Lead.objects.count() == before
    answer = form.post(IGNORE, LEAD)
    assert (answer.status_code, list(answer.json())) == (202, ["accepted", "request_id"])
    assert Lead.objects.get().first_name == ("Known" if known else "Asha")
