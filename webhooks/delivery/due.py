"""Which deliveries are due, and in which order: one statement for all webhooks that are ordered alike.

Read with their texts, in plain tuples: an object a row would cost more than the rest of a delivery. On PostgreSQL the
webhooks are looked at side by side (LATERAL); SQLite, in the same process, is asked once for each.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from webhooks.delivery.bulk import ids_text
from webhooks.delivery.lease import Lease
from webhooks.delivery.probe import Probe
from webhooks.delivery.target import Target
from webhooks.models import Ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Up to `limit` deliveries for one webhook, without the leads that are on their way already.

    What was overtaken at `asides_before` or earlier has stepped aside: it holds its lead's later ones back no more.
    With `probe`: that one and no other, due or not.
    """

    target: Target
    lease: Lease
    limit: int
    busy_leads: Collection[int] = ()
    asides_before: datetime | None = None
    probe: Probe | None = None


class Due(NamedTuple):
    """A delivery as it was found: `text` is its settled body or, while it is fresh, the event's payload."""

    id: int
    webhook_id: int
    lead_id: int
    sequence: int
    attempts: int
    type: str
    due: bool
    aside: bool | None
    fresh: bool
    uid: str
    text: str
    external_id: str | None


_COLUMNS = """
    SELECT d.id, d.webhook_id, d.lead_id, d.sequence, d.attempts, d.type, d.next_attempt_at <= {now},
        d.overtaken_since <= {asides}, d.first_attempt_at IS NULL,
        replace(CAST(e.uid AS text), '-', ''), COALESCE(d.body, e.payload), x.value
    FROM ({chosen}) AS chosen
    JOIN webhooks_delivery AS d ON d.id = chosen.id
    JOIN webhooks_event AS e ON e.id = d.event_id
    LEFT JOIN leads_externalid AS x ON x.lead_id = d.lead_id AND x.api_key_id = {api_key}
"""
# COALESCE keeps PostgreSQL from looking for numbered rows through the index of all sequences: that one holds whatever
# was ever delivered, and the partial indexes only what waits.
_WAITING = "d.webhook_id = {webhook} AND d.state = 'waiting' AND COALESCE(d.sequence, 0) > 0"
_DUE = _WAITING + " AND d.next_attempt_at <= {now} AND {not_busy}"
# The first of each lead, if it is due, and then those behind it. Within a lead, ids are in the order of the log: they
# are drawn while the lead's row is locked. A lead has two heads where its first one has stepped aside.
# What PostgreSQL knows of the table is that next to nothing waits in it; then ten thousand do, and a join planned for
# one row reads all for each. So nothing here is a join that could be planned so: a lead's rows are looked up one lead
# at a time, by sub-selects that bear a LIMIT.
_PER_LEAD = f"""
    WITH heads AS (
        SELECT d.id, d.lead_id FROM webhooks_delivery AS d
        WHERE {_DUE} AND (
            SELECT b.id FROM webhooks_delivery AS b
            WHERE b.webhook_id = d.webhook_id AND b.lead_id = d.lead_id AND b.state = 'waiting' AND b.id < d.id
                AND (b.overtaken_since IS NULL OR {{asides}} IS NULL OR b.overtaken_since > {{asides}})
            ORDER BY b.id LIMIT 1
        ) IS NULL
        ORDER BY d.next_attempt_at, d.id LIMIT {{limit}}
    ), followers AS (
        SELECT behind.id FROM heads {{join_followers}}
        ORDER BY behind.id LIMIT {{limit}} - (SELECT count(*) FROM heads)
    )
    SELECT id FROM heads UNION SELECT id FROM followers
"""  # noqa: S608  # no value
_FOLLOWERS = f"""
    CROSS JOIN LATERAL (
        SELECT d.id FROM webhooks_delivery AS d
        WHERE {_WAITING} AND d.lead_id = heads.lead_id AND d.id > heads.id
        ORDER BY d.id LIMIT {{limit}}
    ) AS behind
"""  # noqa: S608  # no value
_FOLLOWERS_PLAINLY = (
    "JOIN webhooks_delivery AS behind ON behind.webhook_id = {webhook} AND behind.state = 'waiting'"
    " AND behind.lead_id = heads.lead_id AND behind.id > heads.id AND COALESCE(behind.sequence, 0) > 0"
)
_STRICT = f"SELECT d.id FROM webhooks_delivery AS d WHERE {_WAITING} ORDER BY COALESCE(d.sequence, 0) LIMIT {{limit}}"  # noqa: S608  # no value
_NONE = (
    f"SELECT d.id FROM webhooks_delivery AS d WHERE {_DUE} ORDER BY d.next_attempt_at, d.id LIMIT {{limit}}"  # noqa: S608  # no value
)
_ONLY = f"SELECT d.id FROM webhooks_delivery AS d WHERE {_WAITING} AND {{only}}"  # noqa: S608  # no value
_CHOSEN = {Ordering.PER_LEAD: _PER_LEAD, Ordering.STRICT: _STRICT, Ordering.NONE: _NONE}


def due_deliveries(wishes: Sequence[Wish], now: datetime) -> dict[int, list[Due]]:
    """For each webhook what is to be sent to it now, in the order of the sequence."""
    found: dict[int, list[Due]] = {wish.target.webhook_id: [] for wish in wishes}
    for ordering, chosen in _CHOSEN.items():
        alike = [
            wish
            for wish in wishes
            if wish.probe is None
            and wish.target.ordering is ordering
            and not (ordering is Ordering.STRICT and wish.busy_leads)
        ]
        for row in _rows(alike, chosen, now):
            found[row[1]].append(Due._make(row))
    for row in _rows([wish for wish in wishes if wish.probe is not None], _ONLY, now):
        found[row[1]].append(Due._make(row))
    for wish in wishes:
        rows = sorted(found[wish.target.webhook_id], key=lambda each: each.sequence)
        found[wish.target.webhook_id] = (
            rows if wish.probe is not None else _without_gaps(rows, wish.target.ordering)
        )
    return found


def _rows(wishes: Sequence[Wish], chosen: str, now: datetime) -> Iterable[tuple[Any, ...]]:
    if not wishes:
        return []
    if connection.vendor != "postgresql":
        return [row for wish in wishes for row in _rows_of_one(wish, chosen, now)]
    asked = ", ".join(
        f"({wish.target.webhook_id}, {wish.target.api_key_id}, {wish.limit},"
        f" '{{{ids_text(wish.busy_leads)}}}'::bigint[], {wish.probe.delivery_id if wish.probe else 0},"
        f" {_moment(wish.asides_before)}::timestamptz)"
        for wish in wishes
    )
    picked = (_COLUMNS.replace("{chosen}", chosen)).format(
        now="%(now)s",
        webhook="asked.webhook_id",
        api_key="asked.api_key",
        limit="asked.room",
        not_busy="d.lead_id <> ALL (asked.busy)",
        only="d.id = asked.probe",
        asides="asked.asides",
        join_followers=_FOLLOWERS.format(webhook="asked.webhook_id", limit="asked.room"),
    )
    statement = (
        f"SELECT picked.* FROM (VALUES {asked}) AS asked (webhook_id, api_key, room, busy, probe, asides)"  # noqa: S608  # numbers
        f" CROSS JOIN LATERAL ({picked}) AS picked"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": now})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _rows_of_one(wish: Wish, chosen: str, now: datetime) -> Iterable[tuple[Any, ...]]:
    statement = (_COLUMNS.replace("{chosen}", chosen)).format(
        now="%(now)s",
        webhook=wish.target.webhook_id,
        api_key=wish.target.api_key_id,
        limit=wish.limit,
        not_busy=f"d.lead_id NOT IN ({ids_text(wish.busy_leads)})",
        only=f"d.id = {wish.probe.delivery_id if wish.probe else 0}",
        asides=_moment(wish.asides_before),
        join_followers=_FOLLOWERS_PLAINLY.format(webhook=wish.target.webhook_id),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": connection.ops.adapt_datetimefield_value(now)})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _moment(moment: datetime | None) -> str:
    return "NULL" if moment is None else f"'{connection.ops.adapt_datetimefield_value(moment)}'"


def _without_gaps(deliveries: Sequence[Due], ordering: Ordering) -> list[Due]:
    """Without what is not due, and what must wait behind it."""
    blocked: set[int] = set()
    found = []
    for delivery in deliveries:
        lane = delivery.lead_id if ordering is Ordering.PER_LEAD else 0
        aside = ordering is Ordering.PER_LEAD and delivery.aside
        if not delivery.due and ordering is not Ordering.NONE and not aside:
            blocked.add(lane)
        if delivery.due and lane not in blocked:
            found.append(delivery)
    return found
