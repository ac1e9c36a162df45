"""The leads that something waits for, found without reading all that waits: from lead to lead through their index."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from calliyo.prepared import fetch_once
from webhooks.delivery.bulk import ids_as_rows

WIDER = 4
"""Each look that brought too little is followed by one at so many times as much."""
_NEXT = """
    SELECT d.lead_id FROM webhooks_delivery AS d
    WHERE d.webhook_id = {webhook} AND d.state = 'waiting' AND d.lead_id {where} ORDER BY d.lead_id {way} LIMIT 1
"""
_FROM = """
    WITH RECURSIVE walk (lead_id, number) AS (
        SELECT ({first}), 1
        UNION ALL SELECT ({next}), number + 1 FROM walk WHERE lead_id IS NOT NULL AND number < {most}
    )
    SELECT lead_id FROM walk WHERE lead_id IS NOT NULL
"""
_OF_LONGEST_DUE = """
    SELECT lead_id, count(*) FROM (
        SELECT d.lead_id FROM webhooks_delivery AS d
        WHERE d.webhook_id = {webhook} AND d.next_attempt_at <= %s
        ORDER BY d.next_attempt_at, d.id LIMIT {most}
    ) AS longest_due GROUP BY lead_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Some leads, and whether there is nothing due for others."""

    ids: frozenset[int]
    complete: bool


def looks(webhook_id: int, now: datetime, *, first: int) -> Iterator[Leads]:
    """Leads that something waits for, in ever wider looks; `first`: how many leads the first one takes in.

    Ends with all for which something is due, so that whoever goes on until he finds something starves none. Each look
    takes in the leads of what is due for longest. But one lead that may not be sent now can have more there than can
    be passed over; a walk counts it once. A walk in turn can pass more leads than there is due. So both widen
    together, and the cost is that of the shorter way. As each walk begins anywhere, it does not always find the same.
    """
    most = first
    while True:
        found = walk(webhook_id, most)
        if not found.complete:
            due = _of_longest_due(webhook_id, now, most * WIDER)
            found = Leads(ids=found.ids | due.ids, complete=due.complete)
        yield found
        if found.complete:
            return
        most *= WIDER


def with_several(webhook_ids: Collection[int]) -> set[int]:
    """Those of the webhooks for which more than one lead waits."""
    if not webhook_ids:
        return set()
    first, last = (
        _NEXT.format(webhook="asked.webhook_id", where="IS NOT NULL", way=way) for way in ("ASC", "DESC")
    )
    asked = ids_as_rows(webhook_ids, table="asked", column="webhook_id")
    rows = fetch_once(f"SELECT webhook_id FROM {asked} WHERE ({first}) <> ({last})", ())  # noqa: S608  # numbers
    return {webhook_id for (webhook_id,) in rows}


def walk(webhook_id: int, most: int) -> Leads:
    """At most so many leads, in the order of their ids, from anywhere on and round to there."""
    bounds = "SELECT ({first}), ({last})".format(
        first=_NEXT.format(webhook=webhook_id, where="IS NOT NULL", way="ASC"),
        last=_NEXT.format(webhook=webhook_id, where="IS NOT NULL", way="DESC"),
    )
    [(first, last)] = fetch_once(bounds, ())
    if first is None:
        return Leads(ids=frozenset(), complete=True)
    start = random.randint(first, last)  # noqa: S311 (fair; not a secret)
    found = _leads_from(webhook_id, start, most)
    if len(found) < most:
        found |= _leads_from(webhook_id, first, most - len(found), before=start)
    return Leads(ids=found, complete=len(found) < most)


def _leads_from(webhook_id: int, start: int, most: int, *, before: int | None = None) -> frozenset[int]:
    end = "" if before is None else f"AND d.lead_id < {before}"
    statement = _FROM.format(
        first=_NEXT.format(webhook=webhook_id, where=f">= {start} {end}", way="ASC"),
        next=_NEXT.format(webhook=webhook_id, where=f"> walk.lead_id {end}", way="ASC"),
        most=most,
    )
    return frozenset(lead_id for (lead_id,) in fetch_once(statement, ()))


def _of_longest_due(webhook_id: int, now: datetime, most: int) -> Leads:
    statement = _OF_LONGEST_DUE.format(webhook=webhook_id, most=most)
    rows = fetch_once(statement, [connection.ops.adapt_datetimefield_value(now)])
    return Leads(
        ids=frozenset(lead_id for lead_id, _ in rows), complete=sum(count for _, count in rows) < most
    )
