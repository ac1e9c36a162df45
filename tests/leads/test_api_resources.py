"""Tags, follow-ups and notes from outside: made, changed, deleted; by the same rules as in the admin."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leads.models import Activity, Deletion, FollowUp, Lead, LeadTag, Note, Tag
from tests.leads.factories import (
    CustomerFactory,
    FollowUpFactory,
    LeadFactory,
    NoteFactory,
    TagFactory,
    UserFactory,
)
from webhooks.models import Event

DUE = "2030-01-02T12:00:00.500+05:30"


@pytest.fixture
def tags(client_with):
    return client_with("tags:read", "tags:write")


@pytest.fixture
def follow_ups(client_with):
    return client_with("follow-ups:read", "follow-ups:write")


@pytest.fixture
def notes(client_with):
    return client_with("notes:read", "notes:write")


def events(event_type):
    return [json.loads(event.payload) for event in Event.objects.filter(type=event_type).order_by("id")]


def assert_refused(answer, status, code, field=None):
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["code"] == code, body
    if field:
        assert field in [error["field"] for error in body["errors"]], body
    return body


# ── All three alike ─────────────────────────────────────────────────────────────────────────────────────────


def bodies(resource):
    """What makes one, what changes it, and what it then shows."""
    lead = LeadFactory()
    return {
        "tags": ({"name": "Hot"}, {"name": "Cold"}),
        "follow-ups": ({"lead_id": lead.pk, "due_at": "2030-01-02T06:30:00.500Z"}, {"note": "After lunch"}),
        "notes": ({"lead_id": lead.pk, "text": "Likes tea"}, {"text": "Likes coffee"}),
    }[resource]


ALL = ("tags", "follow-ups", "notes")


@pytest.mark.parametrize("resource", ALL)
def test_one_is_made_changed_and_deleted(client_with, resource):
    client = client_with(f"{resource}:read", f"{resource}:write")
    new, change = bodies(resource)
    made = client.post(f"/public/{resource}", new)
    assert made.status_code == 201, made.content
    row = made.json()
    assert row.items() >= new.items() and row["version"] == 1
    path = f"/public/{resource}/{row['id']}"
    assert made["Location"] == path
    read = client.get(path)
    assert (read.json(), read["ETag"]) == (row, made["ETag"])
    changed = client.patch(path, change, If_Match=made["ETag"])
    assert changed.status_code == 200
    assert changed.json().items() >= change.items() and changed.json()["version"] == 2
    assert changed["ETag"].startswith('"2.') and changed["ETag"] != made["ETag"]
    assert client.patch(path, {}).json() == client.patch(path, change).json() == changed.json()
    for write in (
        lambda: client.patch(path, change, If_Match=made["ETag"]),
        lambda: delete(client, path, made),
    ):
        assert_refused(write(), 412, "precondition_failed")
    assert client.get(path).json() == changed.json()
    gone = delete(client, path, changed)
    assert (gone.status_code, gone.content) == (204, b"")
    for again in (client.get(path), client.patch(path, change), client.request("DELETE", path)):
        assert_refused(again, 404, "not_found")
    assert Deletion.objects.filter(resource=resource, object_id=row["id"]).count() == 1


def delete(client, path, answer):
    return client.request("DELETE", path, headers={"If-Match": answer["ETag"]})


@pytest.mark.parametrize("resource", ALL)
def test_a_key_that_may_only_write_gets_the_id_and_nothing_more(client_with, resource):
    client = client_with(f"{resource}:write")
    new, change = bodies(resource)
    made = client.post(f"/public/{resource}", new)
    assert (made.status_code, list(made.json())) == (201, ["id"])
    path = f"/public/{resource}/{made.json()['id']}"
    changed = client.patch(path, change)
    assert (changed.status_code, changed.json()) == (200, made.json())
    for answer in (made, changed):
        assert "ETag" not in answer and "Location" not in answer
    assert client.get(path).status_code == 403
    assert "version" not in client.patch(path, change, If_Match='"77.x"').json()["detail"].replace(
        "that version", ""
    )
    assert client.request("DELETE", path).status_code == 204


@pytest.mark.parametrize("resource", ALL)
def test_forms_are_taken_and_unknown_fields_are_named(client_with, resource):
    client = client_with(f"{resource}:read", f"{resource}:write")
    new, _ = bodies(resource)
    answer = client.form(f"/public/{resource}", new | {"utm_source": "ads"})
    assert answer.status_code == 201, answer.content
    assert answer.json()["ignored_fields"] == ["utm_source"]
    assert_refused(client.post(f"/public/{resource}", new | {"utm": 1}), 400, "validation_failed", "utm")


@pytest.mark.parametrize("resource", ALL)
def test_reading_does_not_let_anybody_write(client_with, resource):
    client = client_with(f"{resource}:read", "leads:write")
    new, change = bodies(resource)
    before = Event.objects.count()
    assert_refused(client.post(f"/public/{resource}", new), 403, "insufficient_scope")
    for method in ("PATCH", "DELETE"):
        answer = client.request(method, f"/public/{resource}/1", json.dumps(change))
        assert_refused(answer, 403, "insufficient_scope")
    assert not Tag.objects.exists() and not FollowUp.objects.exists() and not Note.objects.exists()
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("resource", "change", "fields"),
    [
        ("tags", {"name": " "}, ["name"]),
        ("tags", {"name": None, "colour": "red"}, ["name", "colour"]),
        ("tags", {"name": "x" * 101}, ["name"]),
        ("follow-ups", {"lead_id": 99999, "due_at": "soon", "owner_id": 99999}, ["lead_id", "due_at", "owner_id"]),
        ("follow-ups", {"due_at": None}, ["due_at"]),
        ("follow-ups", {"due_at": "2030-01-02"}, ["due_at"]),
        ("follow-ups", {"due_at": "2030-01-02T12:00:00"}, ["due_at"]),
        ("follow-ups", {"due_at": "0000-01-02T12:00:00Z"}, ["due_at"]),
        ("follow-ups", {"due_at": "99999-01-02T12:00:00Z"}, ["due_at"]),
        ("follow-ups", {"due_at": "0001-01-01T00:00:00+14:00"}, ["due_at"]),
        ("follow-ups", {"due_at": 1893565800}, ["due_at"]),
        ("follow-ups", {"note": "x" * 10_001}, ["note"]),
        ("follow-ups", {"status": "resolved"}, ["status"]),
        ("follow-ups", {"resolved_at": DUE}, ["resolved_at"]),
        ("notes", {"text": ""}, ["text"]),
        ("notes", {"text": " \n "}, ["text"]),
        ("notes", {"text": "x" * 10_001}, ["text"]),
        ("notes", {"lead_id": "x", "text": None}, ["lead_id", "text"]),
        ("notes", {"author": {"type": "user", "id": 1, "name": "Boss"}}, ["author"]),
    ],
)  # fmt: skip
def test_all_wrong_fields_are_named_and_nothing_is_written(client_with, resource, change, fields):
    client = client_with(f"{resource}:write")
    new, _ = bodies(resource)
    answer = client.post(f"/public/{resource}", new | change)
    body = assert_refused(answer, 400, "validation_failed")
    assert sorted(error["field"] for error in body["errors"]) == sorted(fields), body
    assert not Tag.objects.exists() and not FollowUp.objects.exists() and not Note.objects.exists()
    assert set(Event.objects.values_list("type", flat=True)) == {"lead.created"}


def test_what_belongs_to_a_lead_stays_with_it(notes, follow_ups):
    other = LeadFactory().pk
    for client, path in (
        (notes, f"/public/notes/{NoteFactory().pk}"),
        (follow_ups, f"/public/follow-ups/{FollowUpFactory().pk}"),
    ):
        assert_refused(client.patch(path, {"lead_id": other}), 400, "validation_failed", "lead_id")


# ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tags_name_is_unique_without_regard_to_case(tags, client_with):
    hot, cold = TagFactory(name="Hot"), TagFactory(name="Cold")
    body = assert_refused(tags.post("/public/tags", {"name": " hOT "}), 409, "duplicate_name", "name")
    assert body["existing_id"] == hot.pk
    body = assert_refused(
        tags.patch(f"/public/tags/{cold.pk}", {"name": "HOT"}), 409, "duplicate_name", "name"
    )
    assert body["existing_id"] == hot.pk
    assert tags.patch(f"/public/tags/{hot.pk}", {"name": "HOT"}).json()["name"] == "HOT"
    silent = client_with("tags:write").post("/public/tags", {"name": "hot"})
    assert "existing_id" not in assert_refused(silent, 409, "duplicate_name")
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["Cold", "HOT"]


def test_a_name_that_is_taken_is_refused_before_any_lead_is_looked_at(tags):
    hot, cold = (tags.post("/public/tags", {"name": name}).json() for name in ("Hot", "Cold"))
    LeadTag.objects.create(lead=LeadFactory(), tag_id=cold["id"])
    with CaptureQueriesContext(connection) as queries:
        answer = tags.patch(f"/public/tags/{cold['id']}", {"name": "HOT"})
    assert (answer.status_code, answer.json()["existing_id"]) == (409, hot["id"])
    assert not [query for query in queries if "leads_lead" in query["sql"]]


def test_a_tag_that_is_renamed_or_deleted_changes_its_leads_once_each(tags):
    hot, other = TagFactory(name="Hot"), TagFactory(name="Other")
    leads = LeadFactory.create_batch(2, tags=[hot, other])
    untouched = LeadFactory(tags=[other])
    before = {lead.pk: Lead.objects.get(pk=lead.pk).version for lead in [*leads, untouched]}
    Event.objects.all().delete()
    assert tags.patch(f"/public/tags/{hot.pk}", {"name": "Warm"}).status_code == 200
    assert [(event["data"]["lead"]["id"], event["data"]["changes"]) for event in events("lead.updated")] == [
        (lead.pk, {"tags": {"from": ["Hot", "Other"], "to": ["Other", "Warm"]}}) for lead in leads
    ]
    Event.objects.all().delete()
    assert tags.request("DELETE", f"/public/tags/{hot.pk}").status_code == 204
    told = events("lead.updated")
    assert [event["data"]["changes"] for event in told] == [
        {"tags": {"from": ["Other", "Warm"], "to": ["Other"]}}
    ] * 2
    assert {event["actor"]["id"] for event in told} == {tags.key.pk}
    assert Event.objects.count() == 2
    after = {lead.pk: lead.version for lead in Lead.objects.all()}
    assert after[untouched.pk] == before[untouched.pk]
    assert all(after[lead.pk] > before[lead.pk] for lead in leads)
    assert list(Deletion.objects.values_list("resource", "object_id")) == [("tags", hot.pk)]


# ── Follow-ups ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_follow_up_is_the_owners_and_moves_the_lead(follow_ups):
    lead = LeadFactory(owner=UserFactory())
    answer = follow_ups.post("/public/follow-ups", {"lead_id": lead.pk, "due_at": DUE, "note": None})
    follow_up = answer.json()
    assert follow_up["due_at"] == "2030-01-02T06:30:00.500Z"
    assert (follow_up["owner_id"], follow_up["status"], follow_up["note"]) == (lead.owner_id, "open", "")
    assert Lead.objects.get(pk=lead.pk).status.name == "Followups"
    (created,) = events("followup.created")
    assert (created["data"]["follow_up"]["id"], created["actor"]["id"]) == (
        follow_up["id"],
        follow_ups.key.pk,
    )
    assert len(events("lead.status_changed")) == 1


def test_a_customer_stays_a_customer(follow_ups):
    customer = CustomerFactory()
    assert follow_ups.post("/public/follow-ups", {"lead_id": customer.pk, "due_at": DUE}).status_code == 201
    assert Lead.objects.get(pk=customer.pk).status.name == "Customer"


def test_a_follow_up_is_resolved_and_opened_again(follow_ups):
    follow_up = FollowUpFactory(due_at=datetime(2020, 1, 1, tzinfo=UTC))
    path = f"/public/follow-ups/{follow_up.pk}"
    assert follow_ups.get(path).json()["status"] == "overdue"
    resolved = follow_ups.patch(path, {"status": "resolved"}).json()
    assert resolved["status"] == "resolved" and resolved["resolved_at"] == resolved["updated_at"]
    assert follow_ups.patch(path, {"status": "resolved"}).json() == resolved
    assert len(events("followup.completed")) == 1
    opened = follow_ups.patch(path, {"status": "open", "due_at": DUE}).json()
    assert (opened["status"], opened["resolved_at"], opened["due_at"]) == (
        "open",
        None,
        "2030-01-02T06:30:00.500Z",
    )
    assert set(Activity.objects.values_list("kind", flat=True)) == {
        "follow_up_rescheduled",
        "follow_up_reopened",
    }
    follow_ups.patch(path, {"status": "resolved"})
    assert len(events("followup.completed")) == 2


@pytest.mark.parametrize("status", ["overdue", "done", "", None, 1, True, [], {}])
def test_a_status_that_is_none_is_refused(follow_ups, status):
    follow_up = FollowUpFactory()
    answer = follow_ups.patch(f"/public/follow-ups/{follow_up.pk}", {"status": status, "note": "New"})
    assert_refused(answer, 400, "validation_failed", "status")
    assert FollowUp.objects.get().note == follow_up.note


def test_a_banned_owner_is_named_as_in_the_json(follow_ups):
    banned, follow_up = UserFactory(is_active=False), FollowUpFactory()
    for answer in (
        follow_ups.post(
            "/public/follow-ups", {"lead_id": follow_up.lead_id, "due_at": DUE, "owner_id": banned.pk}
        ),
        follow_ups.patch(f"/public/follow-ups/{follow_up.pk}", {"owner_id": banned.pk, "note": "New"}),
    ):
        assert_refused(answer, 400, "owner_banned", "owner_id")
    assert FollowUp.objects.get().note == follow_up.note
    assert Lead.objects.get().status.name == "Unassigned"
    assert (
        follow_ups.patch(f"/public/follow-ups/{follow_up.pk}", {"owner_id": None}).json()["owner_id"] is None
    )


# ── Notes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notes_author_is_the_key_and_stays_so(notes, client_with):
    lead = LeadFactory()
    note = notes.post("/public/notes", {"lead_id": lead.pk, "text": " Likes tea "}).json()
    assert note["text"] == "Likes tea"
    assert note["author"] == {"type": "api_key", "id": notes.key.pk, "name": notes.key.name}
    (added,) = events("note.added")
    assert added["data"]["note"] == note
    assert added["actor"]["id"] == notes.key.pk
    other = client_with("notes:read", "notes:write")
    changed = other.patch(f"/public/notes/{note['id']}", {"text": "Likes coffee"}).json()
    assert (changed["text"], changed["author"]) == ("Likes coffee", note["author"])
    assert len(events("note.added")) == 1
