"""Numbers that are given after the commit: an event's position in the log, and a delivery's sequence.

Both are dense and only grow. Events get theirs in the order of their ids among those that are committed and have
none, so that two changes of one lead never come inverted and a late commit comes later, never before what a
reader has passed. Deliveries are numbered in the order of the log.
"""

from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import Max
from django.db.models.functions import Coalesce

from calliyo.prepared import fetch, fetch_once
from webhooks.delivery.bulk import ids_text, run_together
from webhooks.models import Event

_SEQUENCER_LOCK = 0x43414C4C  # any number that no other advisory lock of ours has
_GIVE_POSITIONS = """
    UPDATE webhooks_event SET position = fresh.position
    FROM (
        SELECT id,
            (SELECT COALESCE(max(position), 0) FROM webhooks_event) + row_number() OVER (ORDER BY id) AS position
        FROM webhooks_event WHERE position IS NULL
    ) AS fresh
    WHERE webhooks_event.id = fresh.id
"""
_UNNUMBERED = """
    SELECT webhook_id, count(*) FROM webhooks_delivery
    WHERE webhook_id IN ({ids}) AND finished_at IS NULL AND sequence IS NULL
    GROUP BY webhook_id
"""
_LOCK_STATES = """
    SELECT webhook_id FROM webhooks_endpointstate WHERE webhook_id IN ({ids}) ORDER BY webhook_id FOR NO KEY UPDATE
"""
# Sub-selects and no joins: PostgreSQL believes that next to nothing waits, and a join planned for one row reads all
# events for each of the ten thousand that do.
_NUMBER_DELIVERIES = """
    UPDATE webhooks_delivery SET sequence = fresh.sequence
    FROM (
        SELECT id, last + row_number() OVER (PARTITION BY webhook_id ORDER BY position, id) AS sequence
        FROM (
            SELECT id, webhook_id,
                (SELECT position FROM webhooks_event WHERE webhooks_event.id = delivery.event_id) AS position,
                (SELECT last_sequence FROM webhooks_endpointstate AS state
                 WHERE state.webhook_id = delivery.webhook_id) AS last
            FROM webhooks_delivery AS delivery
            WHERE webhook_id IN ({ids}) AND finished_at IS NULL AND sequence IS NULL
        ) AS found
        WHERE position IS NOT NULL AND last IS NOT NULL
    ) AS fresh
    WHERE webhooks_delivery.id = fresh.id
"""
_KEEP_LAST = """
    UPDATE webhooks_endpointstate SET last_sequence = COALESCE((
        SELECT sequence FROM webhooks_delivery AS delivery
        WHERE delivery.webhook_id = webhooks_endpointstate.webhook_id AND sequence > last_sequence
        ORDER BY sequence DESC LIMIT 1
    ), last_sequence)
    WHERE webhook_id IN ({ids})
"""


def give_positions() -> int:
    """Gives each committed event without a position the next one; says how many.

    One sequencer at a time, by an advisory lock (SQLite: its only writer). What it sees after it has the lock
    includes all that the one before it wrote.
    """
    if not fetch("SELECT 1 FROM webhooks_event WHERE position IS NULL LIMIT 1", ()):
        return 0
    if connection.vendor != "postgresql":
        return run_together(_GIVE_POSITIONS)[-1]
    return run_together(f"SELECT pg_advisory_xact_lock({_SEQUENCER_LOCK})", _GIVE_POSITIONS)[-1]


def latest_position() -> int:
    """The position of the log's last event, 0 for an empty log (so retention leaves the last event in place)."""
    return int(Event.objects.aggregate(latest=Coalesce(Max("position"), 0))["latest"])


def number_deliveries(webhook_ids: Collection[int]) -> int:
    """Numbers what waits unnumbered for these webhooks, whose leases the caller holds; says how many."""
    return _number(_unnumbered(webhook_ids).keys())


def number_first(webhook_ids: Sequence[int], *, about: int) -> set[int]:
    """As `number_deliveries`, in this order, until about so many are numbered; the webhooks that were not come to."""
    counts = _unnumbered(webhook_ids)
    numbered, room = set[int](), about
    for webhook_id in (webhook_id for webhook_id in webhook_ids if webhook_id in counts):
        if room > 0:
            numbered.add(webhook_id)
            room -= counts[webhook_id]
    _number(numbered)
    return counts.keys() - numbered


def _unnumbered(webhook_ids: Collection[int]) -> dict[int, int]:
    """How many wait without a number, of those that have any."""
    return dict(fetch_once(_UNNUMBERED.format(ids=ids_text(webhook_ids)), ())) if webhook_ids else {}


def _number(webhook_ids: Collection[int]) -> int:
    if not webhook_ids:
        return 0
    ids = ids_text(sorted(webhook_ids))
    number, keep = _NUMBER_DELIVERIES.format(ids=ids), _KEEP_LAST.format(ids=ids)
    if connection.vendor != "postgresql":
        return run_together(number, keep)[0]
    # Two holders of one lease (the older does not know yet) must not number at once.
    return run_together(_LOCK_STATES.format(ids=ids), number, keep)[1]
