"""Bodies that are too long: never an event less, never a byte more than 20,000, and what is cut is named."""

import copy
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calliyo.actor import Actor, ActorType
from webhooks.body import body_for
from webhooks.catalogue import EventType
from webhooks.facts import lead_changes
from webhooks.recording import render
from webhooks.samples import sample_payload
from webhooks.shortening import LONGEST_BODY

UID = UUID("01936d0f-9a5e-7b60-8b5e-3f2a4c1d9e77")
AT = datetime(2026, 11, 24, 22, 48, 22, 123000, tzinfo=UTC)
ALL = frozenset({"leads:read", "users:read"})
WIDE = "𝒜"  # four bytes
ACTOR = Actor(type=ActorType.USER, id=7, name=WIDE * 150, request_id="r" * 64)
EXTERNAL_ID = WIDE * 255


def data_of(event: EventType) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(sample_payload(event, uid=UID, at=AT))["data"]
    return data


def rendered(event: EventType, data: dict[str, Any]) -> str:
    before = copy.deepcopy(data)
    payload = render(uid=UID, event_type=event, at=AT, actor=ACTOR, data=data)
    assert data == before  # other events of the same commit hold the same pictures
    assert len(payload) <= LONGEST_BODY
    return payload.decode()


def received(event: EventType, data: dict[str, Any], external_id: str | None = None) -> dict[str, Any]:
    sent = body_for(rendered(event, data), scopes=ALL, external_id=external_id).encode()
    assert len(sent) <= LONGEST_BODY
    body: dict[str, Any] = json.loads(sent)
    assert (body["id"], body["type"], body["actor"]["id"]) == (f"evt_{UID.hex}", event, 7)
    return body


def widest_lead() -> dict[str, Any]:
    """Every field at its maximum."""
    lead = data_of(EventType.LEAD_CREATED)["lead"]
    names = dict.fromkeys(("first_name", "last_name", "source"), WIDE * 100)
    return {
        **lead,
        **names,
        "email": "a" * 242 + "@example.com",
        "status": {"id": 1, "name": WIDE * 100},
        "tags": [],
    }


@pytest.mark.parametrize(
    ("event", "subject", "name"),
    [
        (EventType.NOTE_ADDED, "note", "text"),
        (EventType.CALL_COMPLETED, "call", "note"),
        (EventType.FOLLOW_UP_CREATED, "follow_up", "note"),
        (EventType.FOLLOW_UP_COMPLETED, "follow_up", "note"),
    ],
)
@pytest.mark.parametrize("character", ["a", "ü", WIDE, '"', "\x01"])
def test_a_long_text_is_cut_first_and_no_further_than_it_must_be(
    event: EventType, subject: str, name: str, character: str
) -> None:
    data = data_of(event)
    data["lead"] = widest_lead()
    data[subject][name] = character * 100_000
    body = received(event, data)
    assert body["data"].pop("shortened") == [f"{subject}.{name}"]
    kept = body["data"][subject].pop(name)
    assert kept.endswith("…") and kept[:-1] == character * (len(kept) - 1)
    del data[subject][name]
    assert body["data"] == data  # all else is whole
    assert (
        len(rendered(event, {**data, subject: {**data[subject], name: character * 100_000}}).encode())
        > 19_990
    )


def test_what_fits_is_not_touched() -> None:
    data = data_of(EventType.NOTE_ADDED)
    data["note"]["text"] = ""
    room = LONGEST_BODY - len(rendered(EventType.NOTE_ADDED, data).encode())
    data["note"]["text"] = "a" * room
    whole = rendered(EventType.NOTE_ADDED, data)
    assert len(whole.encode()) == LONGEST_BODY and "shortened" not in json.loads(whole)["data"]
    data["note"]["text"] += "a"
    assert json.loads(rendered(EventType.NOTE_ADDED, data))["data"]["shortened"] == ["note.text"]


def test_hundreds_of_tags_are_cut_to_the_first_ones_before_and_after() -> None:
    before, after = widest_lead(), widest_lead()
    before["tags"] = [f"{n} {WIDE * 90}" for n in range(300)]
    after["tags"] = [f"{n} {WIDE * 90}" for n in range(301)]
    after["version"] = 2
    body = received(
        EventType.LEAD_UPDATED, {"lead": after, "changes": lead_changes(before, after)}, EXTERNAL_ID
    )
    data = body["data"]
    assert data["shortened"] == ["changes.tags.from", "changes.tags.to", "lead.tags"]
    for kept in (data["lead"]["tags"], data["changes"]["tags"]["from"], data["changes"]["tags"]["to"]):
        assert kept == after["tags"][: len(kept)] and len(kept) >= 5
    assert data["lead"]["external_id"] == EXTERNAL_ID
    assert data["lead"]["first_name"] == WIDE * 100 and set(data["changes"]) == {"tags"}


def test_a_lead_whose_every_field_changes_at_its_maximum_fits_whole_but_for_tags() -> None:
    before, after = widest_lead(), widest_lead()
    before.update(
        first_name="ä" * 100, last_name="ä" * 100, source="ä" * 100, email="b" * 254, tags=["old"] * 200
    )
    after["status"] = {"id": 2, "name": WIDE * 99}
    after["tags"] = [f"{n} {WIDE * 97}" for n in range(200)]
    body = received(
        EventType.LEAD_UPDATED, {"lead": after, "changes": lead_changes(before, after)}, EXTERNAL_ID
    )
    assert body["data"]["shortened"] == ["changes.tags.to", "lead.tags"]
    assert body["data"]["changes"]["tags"]["from"] == ["old"] * 200
    assert {**body["data"]["lead"], "tags": [], "external_id": None} == {**after, "tags": []}


def test_a_text_leaves_room_for_tags_and_the_keys_own_id_is_never_cut() -> None:
    data = data_of(EventType.NOTE_ADDED)
    data["lead"] = {**widest_lead(), "tags": [WIDE * 100] * 100}
    data["note"]["text"] = "n" * 50_000
    body = received(EventType.NOTE_ADDED, data, EXTERNAL_ID)
    assert body["data"]["shortened"] == ["lead.tags", "note.text"]
    assert len(body["data"]["note"]["text"]) > 1_990
    assert body["data"]["lead"]["external_id"] == EXTERNAL_ID


def test_an_id_that_is_added_later_makes_room_for_itself() -> None:
    data = data_of(EventType.NOTE_ADDED)
    data["note"]["text"] = "n" * 50_000
    whole = rendered(EventType.NOTE_ADDED, data)
    sent = body_for(whole, scopes=ALL, external_id=EXTERNAL_ID)
    assert len(sent.encode()) <= LONGEST_BODY
    assert json.loads(sent)["data"]["lead"]["external_id"] == EXTERNAL_ID
    assert json.loads(sent)["data"]["shortened"] == ["note.text"]
    assert len(json.loads(sent)["data"]["note"]["text"]) < len(json.loads(whole)["data"]["note"]["text"])


def test_a_key_that_sees_only_the_leads_id_is_told_of_no_tags_that_were_cut() -> None:
    data = data_of(EventType.NOTE_ADDED)
    data["lead"]["tags"] = [WIDE * 100] * 100
    whole = rendered(EventType.NOTE_ADDED, data)
    assert json.loads(whole)["data"]["shortened"] == ["lead.tags"]
    narrow = json.loads(body_for(whole, scopes={"users:read"}, external_id=None))
    assert narrow["data"]["lead"] == {"id": 1042} and "shortened" not in narrow["data"]


TEXTS = st.builds(
    lambda character, length: character * length,
    st.sampled_from(["a", "ü", WIDE, '"', "\\", "\x01", "\u2028"]),
    st.one_of(st.integers(0, 300), st.integers(0, 40_000)),
)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_is_long_the_event_goes_out_in_20_000_bytes(draw: st.DataObject) -> None:
    event = draw.draw(st.sampled_from(list(EventType)))
    data = data_of(event)
    tags = st.lists(TEXTS, max_size=30)
    data["lead"] |= draw.draw(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("first_name", "last_name", "source", "email"), TEXTS) | {"tags": tags},
        )
    )
    if "changes" in data:
        data["changes"] |= draw.draw(
            st.dictionaries(
                st.sampled_from(["source", "plan"]), st.fixed_dictionaries({"from": TEXTS, "to": TEXTS})
            )
        )
        data["changes"]["tags"] = {"from": draw.draw(tags), "to": draw.draw(tags)}
    for subject, name in (
        ("note", "text"),
        ("call", "note"),
        ("call", "recording_url"),
        ("follow_up", "note"),
    ):
        if subject in data:
            data[subject][name] = draw.draw(TEXTS)
    external_id = draw.draw(st.one_of(st.none(), TEXTS))
    shortened = received(event, data, external_id)["data"].get("shortened", [])
    size = len(orjson.dumps(data)) + len(orjson.dumps(external_id)) + len(orjson.dumps(ACTOR.name)) + 300
    assert size > LONGEST_BODY - 300 or not shortened
