"""Which deliveries are due, and in which order: one statement for all webhooks that are ordered alike.

Read with their texts, in plain tuples: an object a row would cost more than the rest of a delivery. On PostgreSQL the
webhooks are looked at side by side (LATERAL); SQLite, in the same process, is asked once for each.

What a claim reads depends on what it may give, not on what waits. The front of the queue is looked at, and then, of
the leads that were seen there, their first ones: as many as were seen. Where the front gives little, since it may not
be sent now, the claim looks elsewhere, in ever wider looks (`waiting_leads`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, NamedTuple

from django.db import connection

from calliyo.prepared import fetch_once
from webhooks.delivery.bulk import ids_as_rows, ids_text
from webhooks.delivery.lease import Lease
from webhooks.delivery.probe import Probe
from webhooks.delivery.target import Target
from webhooks.delivery.waiting_leads import looks, with_several
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


_SCAN = 4
"""So many times what is wanted, the front of the queue is looked through for leads that are not on their way."""
_LITTLE = 2
"""Where the front gives less than this part of what is wanted, the claim looks elsewhere."""
_FIRST_LOOK = 2
"""There, at so many times what is wanted."""
_COLUMNS = """
    SELECT d.id, {webhook}, d.lead_id, d.sequence, d.attempts, d.type, d.next_attempt_at <= {now},
        d.overtaken_since <= {asides}, d.first_attempt_at IS NULL,
        replace(CAST(e.uid AS text), '-', ''), COALESCE(d.body, e.payload),
        (SELECT x.value FROM leads_externalid AS x WHERE x.lead_id = d.lead_id AND x.api_key_id = {api_key})
    FROM ({chosen}) AS d LEFT JOIN webhooks_event AS e ON e.id = d.event_id
"""
_ROW = (
    *("d.id", "d.lead_id", "d.sequence", "d.attempts", "d.type", "d.next_attempt_at", "d.overtaken_since"),
    *("d.first_attempt_at", "d.event_id", "d.body"),
)
_DELIVERY = ", ".join(_ROW)
_NOTHING = ", ".join(["NULL"] * len(_ROW))
# What PostgreSQL knows of the table is that next to nothing waits in it; then ten thousand do, and a join planned for
# one row reads all for each. So nothing that looks for what waits is a join that could be planned so: it is found by
# sub-selects that bear a LIMIT. And each says that a delivery waits in the words of the index that it is to be read by
# (`Delivery.Meta.indexes`).
_FRONT = f"""
    WITH scanned AS (
        SELECT {_DELIVERY} FROM webhooks_delivery AS d
        WHERE d.webhook_id = {{webhook}} AND d.next_attempt_at <= {{now}}
        ORDER BY d.next_attempt_at, d.id LIMIT {{scan}}
    ), taken AS (
        SELECT * FROM scanned WHERE sequence IS NOT NULL AND {{not_busy}} LIMIT {{limit}}
    )
"""  # noqa: S608  # no value
# A row without an id: more is due than was looked at.
_MORE = f"""
    UNION ALL SELECT {_NOTHING} WHERE CASE
        WHEN (SELECT count(*) FROM taken) >= {{limit}} THEN TRUE
        ELSE (SELECT count(*) FROM scanned) >= {{scan}} END
"""  # noqa: S608  # no value
# Within a lead, ids are in the order of the log: they are drawn while the lead's row is locked. What has stepped aside
# and is not due is passed over; behind anything else that is not due, all waits.
_OF_LEAD = """
    d.webhook_id = {webhook} AND d.state = 'waiting' AND d.lead_id = looked_at.lead_id
    AND NOT (d.next_attempt_at > {now} AND ({unordered} OR COALESCE(d.overtaken_since <= {asides}, FALSE)))
"""
_DUE = "CASE WHEN d.next_attempt_at <= {now} AND d.sequence IS NOT NULL THEN 1 ELSE 0 END AS due"
_OF_LEADS = f"""
    SELECT {_DELIVERY} FROM (
        SELECT d.*, min(due) OVER (PARTITION BY lead_id ORDER BY id) AS free FROM ({{first_of_leads}}) AS d
    ) AS d WHERE free = 1 ORDER BY d.id LIMIT {{limit}}
"""  # noqa: S608  # no value
_PER_LEAD = f"""
    {_FRONT}, looked_at AS (SELECT lead_id, max(id) AS up_to, count(*) AS most FROM taken GROUP BY lead_id)
    SELECT * FROM ({_OF_LEADS}) AS free {_MORE}
"""  # noqa: S608  # no value
_NONE = f"{_FRONT} SELECT * FROM taken {_MORE}"  # noqa: S608  # no value
_OF_THESE = f"WITH looked_at AS ({{these_leads}}) {_OF_LEADS}"
# In the whole of the partial index's order: the index of all sequences has not that order, and would be read through
# millions that are delivered.
_STRICT = f"""
    SELECT {_DELIVERY} FROM webhooks_delivery AS d
    WHERE d.webhook_id = {{webhook}} AND d.finished_at IS NULL AND d.sequence > 0
    ORDER BY d.sequence, d.id LIMIT {{limit}}
"""  # noqa: S608  # no value
_ONLY = f"""
    SELECT {_DELIVERY} FROM webhooks_delivery AS d
    WHERE d.webhook_id = {{webhook}} AND d.state = 'waiting' AND d.id = {{probe}}
"""  # noqa: S608  # no value
_CHOSEN = {Ordering.PER_LEAD: _PER_LEAD, Ordering.STRICT: _STRICT, Ordering.NONE: _NONE}
_ON_POSTGRESQL = {
    "{first_of_leads}": f"""
        SELECT first_of_lead.* FROM looked_at CROSS JOIN LATERAL (
            SELECT {_DELIVERY}, {_DUE} FROM webhooks_delivery AS d
            WHERE {_OF_LEAD} ORDER BY d.id LIMIT looked_at.most
        ) AS first_of_lead
    """,  # noqa: S608  # no value
    "{these_leads}": "SELECT lead_id, {each} AS most FROM {leads}",
}
_ON_SQLITE = {
    "{first_of_leads}": f"""
        SELECT {_DELIVERY}, {_DUE} FROM looked_at CROSS JOIN webhooks_delivery AS d
        WHERE {_OF_LEAD} AND d.id <= looked_at.up_to
    """,  # noqa: S608  # no value
    "{these_leads}": f"""
        SELECT lead_id, COALESCE((
            SELECT d.id FROM webhooks_delivery AS d WHERE {_OF_LEAD} ORDER BY d.id LIMIT 1 OFFSET {{each}} - 1
        ), {2**63 - 1}) AS up_to FROM {{leads}}
    """,  # noqa: S608  # no value
}


def due_deliveries(wishes: Sequence[Wish], now: datetime) -> dict[int, list[Due]]:
    """For each webhook what is to be sent to it now, in the order of the sequence."""
    found: dict[int, dict[int, Due]] = {wish.target.webhook_id: {} for wish in wishes}
    more: set[int] = set()
    for ordering, chosen in _CHOSEN.items():
        alike = [
            wish
            for wish in wishes
            if wish.probe is None
            and wish.target.ordering is ordering
            and not (ordering is Ordering.STRICT and wish.busy_leads)
        ]
        for row in _rows(alike, chosen, now):
            if row[0] is None:
                more.add(row[1])
            else:
                found[row[1]][row[0]] = Due._make(row)
    for row in _rows([wish for wish in wishes if wish.probe is not None], _ONLY, now):
        found[row[1]][row[0]] = Due._make(row)
    short = [
        wish
        for wish in wishes
        if wish.target.webhook_id in more and len(found[wish.target.webhook_id]) * _LITTLE < wish.limit
    ]
    # Where all that waits is one lead's, the front has told all that there is to find.
    several = with_several([wish.target.webhook_id for wish in short])
    for wish in short:
        if wish.target.webhook_id in several:
            found[wish.target.webhook_id] |= {each.id: each for each in _elsewhere(wish, now)}
    return {wish.target.webhook_id: _in_order(wish, found[wish.target.webhook_id]) for wish in wishes}


def _in_order(wish: Wish, found: Mapping[int, Due]) -> list[Due]:
    oldest = sorted(found)[: wish.limit]
    deliveries = sorted((found[each] for each in oldest), key=lambda each: each.sequence)
    if wish.target.ordering is Ordering.STRICT and wish.probe is None:
        return list(takewhile(lambda each: each.due, deliveries))
    return deliveries


def _elsewhere(wish: Wish, now: datetime) -> Iterable[Due]:
    """What is due behind a front of the queue that may not be sent now; something, if there is anything."""
    for leads in looks(wish.target.webhook_id, now, first=_FIRST_LOOK * wish.limit):
        free = leads.ids.difference(wish.busy_leads)
        rows = list(_rows([wish], _OF_THESE, now, free)) if free else []
        if rows:
            return map(Due._make, rows)
    return ()


def _rows(
    wishes: Sequence[Wish], chosen: str, now: datetime, leads: Collection[int] = ()
) -> Iterable[tuple[Any, ...]]:
    """What is chosen for each wish, with its texts; `leads` are those that `_OF_THESE` means."""
    if not wishes:
        return []
    if connection.vendor != "postgresql":
        return [row for wish in wishes for row in _rows_of_one(wish, chosen, now, leads)]
    asked = ", ".join(
        f"({wish.target.webhook_id}, {wish.target.api_key_id}, {wish.limit}, {_scan(wish)},"
        f" '{{{ids_text(wish.busy_leads)}}}'::bigint[], {wish.probe.delivery_id if wish.probe else 0},"
        f" {_moment(wish.asides_before)}::timestamptz, {wish.target.ordering is Ordering.NONE})"
        for wish in wishes
    )
    picked = _spelled(chosen, _ON_POSTGRESQL).format(
        now="%(now)s",
        webhook="asked.webhook_id",
        api_key="asked.api_key",
        limit="asked.room",
        scan="asked.scan",
        not_busy="lead_id <> ALL (asked.busy)",
        probe="asked.probe",
        asides="asked.asides",
        unordered="asked.unordered",
        **_these(leads, wishes[0].limit),
    )
    statement = (
        f"SELECT picked.* FROM (VALUES {asked}) AS asked"  # noqa: S608  # numbers
        " (webhook_id, api_key, room, scan, busy, probe, asides, unordered)"
        f" CROSS JOIN LATERAL ({picked}) AS picked"
    )
    return fetch_once(statement, {"now": now})


def _rows_of_one(wish: Wish, chosen: str, now: datetime, leads: Collection[int]) -> Iterable[tuple[Any, ...]]:
    statement = _spelled(chosen, _ON_SQLITE).format(
        now="%(now)s",
        webhook=wish.target.webhook_id,
        api_key=wish.target.api_key_id,
        limit=wish.limit,
        scan=_scan(wish),
        not_busy=f"lead_id NOT IN ({ids_text(wish.busy_leads)})",
        probe=wish.probe.delivery_id if wish.probe else 0,
        asides=_moment(wish.asides_before),
        unordered=wish.target.ordering is Ordering.NONE,
        **_these(leads, wish.limit),
    )
    return fetch_once(statement, {"now": connection.ops.adapt_datetimefield_value(now)})


def _scan(wish: Wish) -> int:
    """So much of the front is looked through; each lead that is on its way has something in it."""
    return _SCAN * wish.limit + len(wish.busy_leads)


def _spelled(chosen: str, parts: Mapping[str, str]) -> str:
    statement = _COLUMNS.replace("{chosen}", chosen)
    for name, part in parts.items():
        statement = statement.replace(name, part)
    return statement


def _these(leads: Collection[int], limit: int) -> dict[str, object]:
    """Of each of the leads as many as bring together what is wanted."""
    rows = ids_as_rows(leads, table="looked_at", column="lead_id")
    return {"leads": rows, "each": -(-limit // max(1, len(leads)))}


def _moment(moment: datetime | None) -> str:
    return "NULL" if moment is None else f"'{connection.ops.adapt_datetimefield_value(moment)}'"
