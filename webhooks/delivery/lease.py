"""Leases: which worker serves a webhook. Eight seconds by the database's clock, renewed every two.

The lease's number fences: a result counts only under the number that it was sent under.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import OuterRef, Q, QuerySet, Subquery

from calliyo.fields import MomentField
from calliyo.prepared import fetch, fetch_once
from calliyo.statements import Among, Parameter, Statement
from webhooks.delivery.bulk import ids_text
from webhooks.delivery.clock import database_clock_in, database_now
from webhooks.models import Delivery, DeliveryState, EndpointState, Webhook

LEASE_SECONDS = 8.0
RENEW_SECONDS = 2.0
# A request may begin only while the lease surely has this long to live, by our own clock.
SAFETY_SECONDS = 1.0
HOLD_SECONDS = 60
MAX_FOUND = 1000
WAITS = ("held_until", "paused_until", "paced_until")
"""The columns of a state that keep its webhook from being sent to until then."""
_TAKE = """
    UPDATE webhooks_endpointstate
    SET lease_number = lease_number + 1, taken_from = lease_holder, lease_holder = %s, leased_until = {until},
        asked_for = FALSE
    WHERE webhook_id IN (
        SELECT webhook_id FROM webhooks_endpointstate
        WHERE webhook_id {among} AND ({free}) {lock}
    )
    RETURNING webhook_id, lease_number, taken_from
"""
# Both lock in the one order, as recording does in another thread: by the table's own, the two wait for each other.
_OURS = """
    SELECT webhook_id FROM webhooks_endpointstate WHERE webhook_id IN ({ids}) AND lease_holder = %s {lock}
"""
_RENEW = f"""
    UPDATE webhooks_endpointstate SET leased_until = {{until}} WHERE webhook_id IN ({_OURS})
    RETURNING webhook_id, lease_number
"""  # noqa: S608  # no value
_RELEASE = f"""
    UPDATE webhooks_endpointstate SET leased_until = NULL, lease_holder = '', asked_for = FALSE
    WHERE webhook_id IN ({_OURS})
"""  # noqa: S608  # no value


@dataclass(slots=True)
class Lease:
    """Our right to serve a webhook. `ours_until` is on this process's monotonic clock, never too late.

    `taken_from`: another holder, who let it run out.
    """

    webhook_id: int
    number: int
    ours_until: float
    taken_from: str = ""

    def holds(self) -> bool:
        """Whether a request may begin under it."""
        return time.monotonic() < self.ours_until


class LeaseLost(Exception):
    """Another worker serves the webhook now."""


def due_webhooks(now: datetime, *, take_over: bool) -> list[int]:
    """Webhooks that have something due, may be sent to now, and are served by nobody.

    Without `take_over`: not those whose lease ran out.
    """
    unserved = Q(state=None) | Q(state__leased_until=None)
    if take_over:
        unserved |= Q(state__leased_until__lte=now)
    return list(_due(now).filter(unserved).order_by("pk").values_list("pk", flat=True)[:MAX_FOUND])


def due_among(webhook_ids: Collection[int], now: datetime) -> dict[int, bool]:
    """Those of the webhooks that have something due and may be sent to now; whether each is served by nobody."""
    found = _due_among().fetch({"now": now, "ids": webhook_ids}, prepared=True)
    return {pk: leased_until is None or leased_until <= now for pk, leased_until in found}


def _due(now: datetime | Parameter) -> QuerySet[Webhook]:
    due = Delivery.objects.filter(webhook_id=OuterRef("pk"), next_attempt_at__lte=now)
    webhooks = sendable(now)
    for waits in WAITS:
        over = Q(**{f"state__{waits}": None}) | Q(**{f"state__{waits}__lte": now})
        webhooks = webhooks.filter(Q(state=None) | over)
    # Not `Exists`: what could be planned as a join is planned for next to nothing that waits, as PostgreSQL believes.
    first_due = Subquery(due.order_by("next_attempt_at", "pk").values("pk")[:1])
    return webhooks.alias(first_due=first_due).filter(first_due__isnull=False)


@cache
def _due_among() -> Statement:
    now = Parameter("now", MomentField())
    among = _due(now).filter(Among("pk", "ids")).order_by("pk")
    return Statement.of(among.values_list("pk", "state__leased_until")[:MAX_FOUND])


def sendable(now: datetime | Parameter) -> QuerySet[Webhook]:
    """Webhooks that are on, of keys that are active and not expired."""
    unexpired = Q(api_key__expires_at=None) | Q(api_key__expires_at__gt=now)
    return Webhook.objects.filter(unexpired, active=True, api_key__active=True)


def take_leases(webhook_ids: Collection[int], *, holder: str, take_over: bool = True) -> list[Lease]:
    """Takes those that nobody has, passing over what another takes at this moment.

    Without `take_over`: only those that were given back.
    """
    asked_at = time.monotonic()
    taken = _taken(webhook_ids, holder, take_over=take_over)
    unknown = _make_missing_states(set(webhook_ids).difference(webhook_id for webhook_id, _, _ in taken))
    taken += _taken(unknown, holder, take_over=take_over)
    until = _ours_until(asked_at)
    return [
        Lease(webhook_id, number, until, taken_from="" if before == holder else before)
        for webhook_id, number, before in taken
    ]


def _taken(webhook_ids: Collection[int], holder: str, *, take_over: bool) -> list[tuple[int, int, str]]:
    """Of each: the webhook, the lease's number, and its holder before (empty: it was given back)."""
    if not webhook_ids:
        return []
    postgresql = connection.vendor == "postgresql"
    statement = _TAKE.format(
        until=database_clock_in(LEASE_SECONDS),
        free="leased_until IS NULL" + (f" OR leased_until <= {database_clock_in(0)}" if take_over else ""),
        among="= ANY (%s)" if postgresql else f"IN ({ids_text(webhook_ids)})",
        lock=free_rows_only(),
    )
    taken: list[Any] = fetch(statement, [holder, list(webhook_ids)] if postgresql else [holder])
    return taken


def in_order() -> str:
    """SQL: locks the states in the one order that there is, so that no two wait for each other."""
    return "ORDER BY webhook_id FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""


def free_rows_only() -> str:
    """SQL: as `in_order`, without those that somebody else has locked."""
    return f"{in_order()} SKIP LOCKED" if connection.vendor == "postgresql" else ""


def renew_leases(leases: Iterable[Lease], *, holder: str) -> None:
    """Makes those that are still ours last from now on; the others keep their end, and then hold no more."""
    by_id = {lease.webhook_id: lease for lease in leases}
    if not by_id:
        return
    asked_at = time.monotonic()
    statement = _RENEW.format(until=database_clock_in(LEASE_SECONDS), ids=ids_text(by_id), lock=in_order())
    for webhook_id, number in fetch_once(statement, [holder]):
        lease = by_id[webhook_id]
        if lease.number == number:
            lease.ours_until = _ours_until(asked_at)


def release_leases(leases: Collection[Lease], *, holder: str) -> None:
    """Gives them back, so that the next poke finds them free wherever it comes."""
    ids = ids_text(lease.webhook_id for lease in leases)
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE.format(ids=ids, lock=in_order()), [holder])


def hold(webhook_id: int, reason: str) -> None:
    """Has no attempt made for `HOLD_SECONDS`, and says why in the log of what waits; no attempt is counted."""
    until = database_now() + timedelta(seconds=HOLD_SECONDS)
    EndpointState.objects.filter(webhook_id=webhook_id).update(paused_until=until)
    Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING).exclude(
        last_error=reason
    ).update(last_error=reason)


def pace(lease: Lease, *, until: datetime, holder: str) -> None:
    """Notes when the rate limit lets the next attempt begin. Raises `LeaseLost`."""
    ours = EndpointState.objects.filter(
        webhook_id=lease.webhook_id, lease_holder=holder, lease_number=lease.number
    )
    if not ours.update(paced_until=until):
        raise LeaseLost(lease.webhook_id)


def _ours_until(asked_at: float) -> float:
    return asked_at + LEASE_SECONDS - SAFETY_SECONDS


def _make_missing_states(webhook_ids: Collection[int]) -> set[int]:
    """Makes the states of those that have none; which these are."""
    if not webhook_ids:
        return set()
    known = EndpointState.objects.filter(webhook_id__in=webhook_ids).values_list("webhook_id", flat=True)
    missing = set(webhook_ids).difference(known)
    EndpointState.objects.bulk_create(
        [EndpointState(webhook_id=webhook_id) for webhook_id in sorted(missing)], ignore_conflicts=True
    )
    return missing
