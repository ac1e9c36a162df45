"""Writes events and their deliveries: one statement for each, whatever the number of webhooks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from uuid_utils.compat import uuid7

from calliyo.actor import Actor, ActorType, current_actor
from calliyo.prepared import fetch
from leads.pictures import moment
from webhooks.catalogue import API_VERSION
from webhooks.facts import Fact
from webhooks.shortening import fitted

ROWS = 500  # events in one statement


def record(facts: Sequence[Fact], at: datetime) -> list[int]:
    """Writes the events in their order, and a delivery for each webhook that subscribes; gives these webhooks' ids."""
    actor = current_actor()
    told: set[int] = set()
    for start in range(0, len(facts), ROWS):
        told.update(_insert([_new_event(fact, actor, at) for fact in facts[start : start + ROWS]], actor, at))
    return sorted(told)


def render(*, uid: UUID, event_type: str, at: datetime, actor: Actor, data: dict[str, Any]) -> bytes:
    """The body in compact JSON, at most 20 kB: what is too long is shortened."""
    body = {
        "id": f"evt_{uid.hex}",
        "type": event_type,
        "timestamp": moment(at),
        "api_version": API_VERSION,
        "actor": {"type": actor.type, "id": actor.id, "name": actor.name, "request_id": actor.request_id},
        "data": data,
    }
    return fitted(body)


_DELIVERIES = """
INSERT INTO webhooks_delivery
    (webhook_id, event_id, type, lead_id, cause, state, attempts, created_at, next_attempt_at, last_error)
SELECT w.id, e.id, e.type, e.lead_id, 'event', 'waiting', 0, {at}, {at}, ''
FROM {events} JOIN webhooks_webhook w ON w.active AND {subscribed} AND NOT (w.skip_own AND w.api_key_id = {own_key})
ORDER BY e.id, w.id
RETURNING webhook_id
"""
_EVENTS = """
WITH told AS (
    SELECT %s::timestamptz AS at, %s::text AS actor_type, %s::bigint AS actor_id, %s::bigint AS own_key
), e AS (
    INSERT INTO webhooks_event (uid, type, lead_id, payload, actor_type, actor_id, created_at)
    SELECT fact.uid, fact.type, fact.lead_id, fact.payload, told.actor_type, told.actor_id, told.at
    FROM told, json_to_recordset(%s::json)
        AS fact (number int, uid uuid, type text, lead_id bigint, payload text)
    ORDER BY fact.number
    RETURNING id, type, lead_id
)
"""
# One statement, the same for any number of events, so that PostgreSQL plans it once.
_BOTH = _EVENTS + _DELIVERIES.format(
    at="told.at",
    own_key="told.own_key",
    events="told CROSS JOIN e",
    subscribed="w.events @> to_jsonb(e.type)",
)


class NewEvent(NamedTuple):
    """An event as it goes into its row."""

    uid: UUID
    type: str
    lead_id: int
    payload: str


def _insert(events: list[NewEvent], actor: Actor, at: datetime) -> Iterable[int]:
    own_key = actor.id if actor.type == ActorType.API_KEY else -1
    if connection.vendor == "postgresql":
        # As JSON, not as arrays: psycopg escapes each quotation mark of an array's texts by itself.
        facts = [{"number": number, **event._asdict()} for number, event in enumerate(events)]
        told = fetch(_BOTH, [at, actor.type.value, actor.id, own_key, orjson.dumps(facts).decode()])
        return [webhook for (webhook,) in told]
    return _insert_plainly(events, actor, at, own_key)


def _insert_plainly(events: list[NewEvent], actor: Actor, at: datetime, own_key: int | None) -> Iterable[int]:
    """In two statements, for SQLite."""
    moment = connection.ops.adapt_datetimefield_value(at)
    places = ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(events))
    values: list[Any] = []
    for event in events:
        values += [
            event.uid.hex,
            event.type,
            event.lead_id,
            event.payload,
            actor.type.value,
            actor.id,
            moment,
        ]
    columns = "uid, type, lead_id, payload, actor_type, actor_id, created_at"
    ids = fetch(f"INSERT INTO webhooks_event ({columns}) VALUES {places} RETURNING id", values)  # noqa: S608  # no value
    deliveries = _DELIVERIES.format(
        at="%s",
        own_key="%s",
        events="webhooks_event e",
        subscribed="EXISTS (SELECT 1 FROM json_each(w.events) WHERE value = e.type) AND e.id BETWEEN %s AND %s",
    )
    # No other writer is between them: SQLite has one at a time.
    return [row[0] for row in fetch(deliveries, [moment, moment, ids[0][0], ids[-1][0], own_key])]


def _new_event(fact: Fact, actor: Actor, at: datetime) -> NewEvent:
    uid = uuid7()
    payload = render(uid=uid, event_type=fact.type, at=at, actor=actor, data=fact.data).decode()
    return NewEvent(uid, fact.type.value, fact.lead_id, payload)
