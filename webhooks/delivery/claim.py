"""What is to be sent next to webhooks whose leases are held: the due deliveries, in order, with their bodies fixed.

A claim writes no mark of its own on a row: the lease is the mark. Who dies leaves rows that are due, and the next
holder sends them again. All webhooks of a claim share its few statements (`due`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction

from calliyo.prepared import fetch_once
from webhooks.body import body_for
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.bulk import ids_text, update_rows
from webhooks.delivery.due import Due, Wish, due_deliveries
from webhooks.delivery.probe import Probe
from webhooks.delivery.sentences import Sentence
from webhooks.delivery.target import Target
from webhooks.models import Delivery, DeliveryState, Ordering

_LEASE_NUMBERS = """
    SELECT webhook_id, lease_number FROM webhooks_endpointstate
    WHERE webhook_id IN ({ids}) AND lease_holder = %s ORDER BY webhook_id {lock}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One delivery, ready to be sent. What shares a `lane` goes in order, and waits for what failed before it.

    `probe`: how, when it is the one that a down endpoint is tried with.
    """

    delivery_id: int
    lane: int
    lead_id: int
    sequence: int
    attempts: int
    event_type: str
    message_id: str
    body: bytes
    probe: Probe | None = None


def claim(wishes: Sequence[Wish], *, holder: str, now: datetime) -> dict[int, list[Parcel]]:
    """What each webhook gets, in the order of its sequence; one that is not in it is served by another worker now.

    Those whose scope has gone are withheld on the way.
    """
    found = due_deliveries(wishes, now)
    if not any(found.values()):
        return {wish.target.webhook_id: [] for wish in wishes}
    with transaction.atomic():
        numbers = _lease_numbers(found.keys(), holder)
        ours = [wish for wish in wishes if numbers.get(wish.lease.webhook_id) == wish.lease.number]
        given = {
            wish.target.webhook_id: _withhold(wish.target, found[wish.target.webhook_id], now)
            for wish in ours
        }
        bodies = _fixed_bodies(ours, given, now)
    return {wish.target.webhook_id: _parcels(wish, given[wish.target.webhook_id], bodies) for wish in ours}


def _lease_numbers(webhook_ids: Collection[int], holder: str) -> dict[int, int]:
    """The numbers of the leases that are `holder`'s, locked until the bodies are settled."""
    lock = "FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    return dict(fetch_once(_LEASE_NUMBERS.format(ids=ids_text(webhook_ids), lock=lock), [holder]))


def _withhold(target: Target, deliveries: Sequence[Due], now: datetime) -> list[Due]:
    """Ends those whose event the key may no longer see, with the reason; gives the others."""
    missing: dict[str, list[int]] = {}
    allowed = []
    for delivery in deliveries:
        scope = needed_scope(EventType(delivery.type))
        if scope in target.scopes:
            allowed.append(delivery)
        else:
            missing.setdefault(scope, []).append(delivery.id)
    for scope, ids in missing.items():
        Delivery.objects.filter(pk__in=ids, state=DeliveryState.WAITING).update(
            state=DeliveryState.WITHHELD,
            finished_at=now,
            next_attempt_at=None,
            last_error=Sentence.SCOPE_LOST.told(scope=scope),
        )
    return allowed


def _fixed_bodies(
    wishes: Sequence[Wish], given: Mapping[int, Sequence[Due]], now: datetime
) -> dict[int, str]:
    """Settles the bytes of those that are sent for the first time, before anything is sent.

    Gives those that differ from the event's payload.
    """
    fresh: list[int] = []
    different: dict[int, str] = {}
    for wish in wishes:
        scopes = wish.target.scopes
        for delivery in given[wish.target.webhook_id]:
            if delivery.fresh:
                fresh.append(delivery.id)
                body = body_for(delivery.text, scopes=scopes, external_id=delivery.external_id)
                if body != delivery.text:
                    different[delivery.id] = body
    if fresh:
        moment = connection.ops.adapt_datetimefield_value(now)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE webhooks_delivery SET first_attempt_at = %s WHERE id IN ({ids_text(fresh)})",  # noqa: S608  # numbers
                [moment],
            )
    update_rows(
        "webhooks_delivery",
        "id",
        {"body": "text"},
        [{"id": delivery_id, "body": body} for delivery_id, body in different.items()],
    )
    return different


def _parcels(wish: Wish, deliveries: Sequence[Due], bodies: Mapping[int, str]) -> list[Parcel]:
    parcels = [_parcel(each, wish.target.ordering, bodies) for each in deliveries]
    return [replace(parcel, probe=wish.probe) for parcel in parcels] if wish.probe else parcels


def _parcel(delivery: Due, ordering: Ordering, bodies: Mapping[int, str]) -> Parcel:
    match ordering:
        case Ordering.STRICT:
            lane = 0
        case Ordering.PER_LEAD if not delivery.aside:
            lane = delivery.lead_id
        case Ordering.PER_LEAD:
            lane = -delivery.id  # should it fail again, what is behind it goes all the same
        case _:
            lane = delivery.id
    return Parcel(
        delivery_id=delivery.id,
        lane=lane,
        lead_id=delivery.lead_id,
        sequence=delivery.sequence,
        attempts=delivery.attempts,
        event_type=delivery.type,
        message_id=f"evt_{delivery.uid}",
        body=bodies.get(delivery.id, delivery.text).encode(),
    )
