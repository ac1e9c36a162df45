"""Numbers that are given after the commit: an event's position in the log, and a delivery's sequence.

Both are dense and only grow. Events get theirs in the order of their ids among those that are committed and have
none, so that two changes of one lead never come inverted and a late commit comes later, never before what a
reader has passed. Deliveries are numbered in the order of the log.
"""

from collections.abc import Collection

from django.db import connection, transaction
from django.db.models import F, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce, Greatest

from webhooks.models import Delivery, DeliveryState, EndpointState, Event

_SEQUENCER_LOCK = 0x43414C4C  # any number that no other advisory lock of ours has
_GIVE_POSITIONS = """
    UPDATE webhooks_event SET position = fresh.position
    FROM (
        SELECT id, %s + row_number() OVER (ORDER BY id) AS position
        FROM webhooks_event WHERE position IS NULL
    ) AS fresh
    WHERE webhooks_event.id = fresh.id
"""
_NUMBER_DELIVERIES = """
    UPDATE webhooks_delivery SET sequence = fresh.sequence
    FROM (
        SELECT delivery.id,
            state.last_sequence
            + row_number() OVER (PARTITION BY delivery.webhook_id ORDER BY event.position, delivery.id) AS sequence
        FROM webhooks_delivery AS delivery
        JOIN webhooks_event AS event ON event.id = delivery.event_id
        JOIN webhooks_endpointstate AS state ON state.webhook_id = delivery.webhook_id
        WHERE delivery.webhook_id IN ({ids}) AND delivery.state = 'waiting' AND delivery.sequence IS NULL
            AND event.position IS NOT NULL
    ) AS fresh
    WHERE webhooks_delivery.id = fresh.id
"""


def give_positions() -> int:
    """Gives each committed event without a position the next one; says how many.

    One sequencer at a time, by an advisory lock (SQLite: its only writer). What it sees after it has the lock
    includes all that the one before it wrote.
    """
    if not Event.objects.filter(position=None).exists():
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEQUENCER_LOCK])
        cursor.execute(_GIVE_POSITIONS, [latest_position()])
        return int(cursor.rowcount)


def latest_position() -> int:
    """The position of the log's last event, 0 for an empty log (so retention leaves the last event in place)."""
    return int(Event.objects.aggregate(latest=Coalesce(Max("position"), 0))["latest"])


def number_deliveries(webhook_ids: Collection[int]) -> int:
    """Numbers what waits unnumbered for these webhooks, whose leases the caller holds; says how many."""
    unnumbered = Delivery.objects.filter(
        webhook_id__in=webhook_ids, state=DeliveryState.WAITING, sequence=None
    )
    ids = sorted(unnumbered.order_by().values_list("webhook_id", flat=True).distinct())
    if not ids:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        states = EndpointState.objects.filter(webhook_id__in=ids)
        # Two holders of one lease (the older does not know yet) must not number at once.
        list(states.select_for_update(no_key=True).order_by("webhook_id").values_list("webhook_id"))
        cursor.execute(_NUMBER_DELIVERIES.format(ids=", ".join(map(str, ids))))
        count = int(cursor.rowcount)
        highest = Delivery.objects.filter(webhook_id=OuterRef("webhook_id"), sequence__isnull=False)
        states.update(
            last_sequence=Greatest(
                F("last_sequence"),
                Coalesce(Subquery(highest.order_by("-sequence").values("sequence")[:1]), 0),
            )
        )
    return count
