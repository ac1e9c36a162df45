"""Writes events and their deliveries: one statement for each, whatever the number of webhooks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from uuid_utils.compat import uuid7

from calliyo.actor import Actor, ActorType, current_actor
from leads.pictures import moment
from webhooks.catalogue import API_VERSION
from webhooks.facts import Fact

LONGEST_BODY = 20_000  # bytes (contract, *Webhooks*)
ROWS = 500  # events in one statement
EVENT_COLUMNS = "uid, type, lead_id, payload, actor_type, actor_id, created_at"
# Texts that people write without end, by the object of `data` that holds them.
LONG_TEXTS = {"note": "text", "call": "note", "follow_up": "note"}


def record(facts: Sequence[Fact], at: datetime) -> list[int]:
    """Writes the events in their order, and a delivery for each webhook that subscribes; gives these webhooks' ids."""
    actor = current_actor()
    told: set[int] = set()
    for start in range(0, len(facts), ROWS):
        rows = [_event_row(fact, actor, at) for fact in facts[start : start + ROWS]]
        told.update(_insert(rows, actor, at))
    return sorted(told)


def render(*, uid: UUID, event_type: str, at: datetime, actor: Actor, data: dict[str, Any]) -> bytes:
    """The body in compact JSON, at most 20 kB: the longest text is cut, and `data.shortened` names it."""
    body = {
        "id": f"evt_{uid.hex}",
        "type": event_type,
        "timestamp": moment(at),
        "api_version": API_VERSION,
        "actor": {"type": actor.type, "id": actor.id, "name": actor.name, "request_id": actor.request_id},
        "data": data,
    }
    rendered = orjson.dumps(body)
    if len(rendered) <= LONGEST_BODY:
        return rendered
    for subject, name in LONG_TEXTS.items():
        if subject in data and data[subject][name]:
            shorter = _cut(data[subject][name], len(rendered) - LONGEST_BODY + 64)
            cut = {**data, subject: {**data[subject], name: shorter}, "shortened": [f"{subject}.{name}"]}
            return orjson.dumps({**body, "data": cut})
    return rendered


def _cut(text: str, surplus: int) -> str:
    """`text` without at least `surplus` bytes of its JSON form, on a character's border."""
    kept = text
    while kept and len(orjson.dumps(text)) - len(orjson.dumps(kept)) < surplus:
        missing = surplus - (len(orjson.dumps(text)) - len(orjson.dumps(kept)))
        kept = kept[: -max(1, missing // 6)]
    return kept + "…" if kept else ""


def _event_row(fact: Fact, actor: Actor, at: datetime) -> tuple[Any, ...]:
    uid = uuid7()
    payload = render(uid=uid, event_type=fact.type, at=at, actor=actor, data=fact.data).decode()
    stored_uid = uid if connection.features.has_native_uuid_field else uid.hex
    created_at = connection.ops.adapt_datetimefield_value(at)
    return stored_uid, fact.type.value, fact.lead_id, payload, actor.type.value, actor.id, created_at


_DELIVERY = """
INSERT INTO webhooks_delivery
    (webhook_id, event_id, type, lead_id, cause, state, attempts, created_at, next_attempt_at, last_error)
SELECT w.id, e.id, e.type, e.lead_id, 'event', 'waiting', 0, %s, %s, ''
FROM {events} e JOIN webhooks_webhook w ON w.active AND {subscribed}
    AND NOT (w.skip_own AND w.api_key_id = %s)
ORDER BY e.id, w.id
RETURNING webhook_id
"""


def _insert(rows: list[tuple[Any, ...]], actor: Actor, at: datetime) -> Iterable[int]:
    own_key = actor.id if actor.type == ActorType.API_KEY else -1
    moments = [connection.ops.adapt_datetimefield_value(at)] * 2
    values = [value for row in rows for value in row]
    places = ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(rows))
    events = f"INSERT INTO webhooks_event ({EVENT_COLUMNS}) VALUES {places}"  # noqa: S608  # no value in it
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            deliveries = _DELIVERY.format(events="e", subscribed="w.events @> to_jsonb(e.type)")
            cursor.execute(
                f"WITH e AS ({events} RETURNING id, type, lead_id) {deliveries}", [*values, *moments, own_key]
            )
            return [webhook for (webhook,) in cursor.fetchall()]
        cursor.execute(f"{events} RETURNING id", values)
        ids = [event for (event,) in cursor.fetchall()]
        deliveries = _DELIVERY.format(
            events="webhooks_event",
            subscribed="EXISTS (SELECT 1 FROM json_each(w.events) WHERE value = e.type) AND e.id BETWEEN %s AND %s",
        )
        cursor.execute(deliveries, [*moments, min(ids), max(ids), own_key])
        return [webhook for (webhook,) in cursor.fetchall()]
