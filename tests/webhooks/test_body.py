"""What one key sees of an event."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.processes import ROOT
from webhooks.body import body_for
from webhooks.catalogue import EventType
from webhooks.samples import sample_payload

ALL = frozenset({"leads:read", "users:read", "notes:read", "calls:read", "follow-ups:read"})
UID = UUID("01936d0f-9a5e-7b60-8b5e-3f2a4c1d9e77")


def payload(event: EventType) -> str:
    return sample_payload(event, uid=UID, at=datetime(2026, 11, 24, 22, 48, 22, 123000, tzinfo=UTC))


@pytest.mark.parametrize("event", list(EventType))
def test_a_key_that_sees_all_gets_the_payload_itself(event: EventType) -> None:
    whole = payload(event)
    assert body_for(whole, scopes=ALL, external_id=None) is whole
    assert " " not in whole.split('"text"')[0].split('"note"')[0][:60] and len(whole) < 20_000


def test_the_keys_own_id_of_the_lead_is_in_it() -> None:
    body = json.loads(body_for(payload(EventType.LEAD_CREATED), scopes=ALL, external_id="ZC-1"))
    assert body["data"]["lead"]["external_id"] == "ZC-1"
    assert list(body) == ["id", "type", "timestamp", "api_version", "actor", "data"]
    assert (body["id"], body["timestamp"]) == (f"evt_{UID.hex}", "2026-11-24T22:48:22.123Z")


@pytest.mark.parametrize(
    "event", [EventType.CALL_COMPLETED, EventType.FOLLOW_UP_CREATED, EventType.NOTE_ADDED]
)
def test_without_leads_read_the_lead_is_its_id_only(event: EventType) -> None:
    body = json.loads(body_for(payload(event), scopes=ALL - {"leads:read"}, external_id="ZC-1"))
    assert body["data"]["lead"] == {"id": 1042}


def test_without_users_read_the_names_of_users_are_null() -> None:
    body = json.loads(body_for(payload(EventType.NOTE_ADDED), scopes=ALL - {"users:read"}, external_id=None))
    assert body["actor"] == {"type": "user", "id": 7, "name": None, "request_id": None}
    assert body["data"]["note"]["author"] == {"type": "user", "id": 7, "name": None}
    assert "Ravi" not in json.dumps(body)


def test_the_names_of_keys_and_of_the_system_are_told_to_all() -> None:
    whole = payload(EventType.LEAD_CREATED).replace('"type":"user","id":7', '"type":"api_key","id":7')
    body = json.loads(body_for(whole, scopes={"leads:read"}, external_id=None))
    assert body["actor"]["name"] == "Ravi Kumar"


def test_the_documents_example_is_a_real_event() -> None:
    page = (ROOT / "docs" / "payloads.md").read_text()
    example = page.partition("```json\n")[2].partition("```")[0]
    assert json.loads(example) == json.loads(payload(EventType.LEAD_STATUS_CHANGED))
