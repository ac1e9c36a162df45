"""The numbers that an on-call person wants: what waits, since when, how fast it goes, how the endpoints are.

Asked of the database when somebody looks. Each comes from an index that holds little, or is bounded, whatever lies
behind: counting millions of delivered rows is left to the database's own estimate.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from django.db import connection
from django.db.models import Count, F, OuterRef, Subquery

from webhooks.delivery.clock import database_now
from webhooks.delivery.health import Health
from webhooks.delivery.sequence import latest_position
from webhooks.models import Attempt, Delivery, DeliveryState, EndpointState, Webhook

log = structlog.get_logger(__name__)

COUNTED: Final = 100_000
"""Delivered rows are counted up to here; more are estimated."""
RECENT_SECONDS: Final = 60.0
RECENT_ATTEMPTS: Final = 5_000
OFF: Final = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One webhook: its host (the rest of a URL is often a credential), its health, what waits for it."""

    id: int
    host: str
    active: bool
    off_reason: str
    health: str
    key_active: bool
    waiting: int
    oldest_waiting_seconds: float
    failures_in_a_row: int
    failing_since: datetime | None
    last_success_at: datetime | None
    down_since: datetime | None
    paused_until: datetime | None
    held_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The attempts of the last minute: how many a second, and their time by what came of them (empty: none)."""

    delivered_per_second: float
    failed_per_second: float
    median_ms: float | None
    p95_ms: float | None


def endpoints() -> list[Endpoint]:
    """Every webhook, in the order of their numbers, in three statements."""
    now = database_now()
    waiting = dict(
        Delivery.objects.filter(state=DeliveryState.WAITING)
        .order_by()
        .values("webhook_id")
        .values_list("webhook_id", Count("pk"))
    )
    of_it = Delivery.objects.filter(webhook_id=OuterRef("pk"), finished_at=None)
    oldest = of_it.order_by(F("sequence").asc(nulls_last=True), "pk").values("created_at")[:1]
    webhooks = Webhook.objects.select_related("api_key", "state").annotate(oldest=Subquery(oldest))
    return [
        _endpoint(webhook, waiting.get(webhook.pk, 0), webhook.oldest, now)
        for webhook in webhooks.order_by("pk")
    ]


def _endpoint(webhook: Webhook, waiting: int, oldest: datetime | None, now: datetime) -> Endpoint:
    state: EndpointState | None = getattr(webhook, "state", None)
    known = state or EndpointState(webhook=webhook)
    return Endpoint(
        id=webhook.pk,
        host=urlsplit(webhook.url).hostname or "",
        active=webhook.active,
        off_reason=webhook.off_reason,
        health=known.health if webhook.active else OFF,
        key_active=webhook.api_key.active and not webhook.api_key.expired(now),
        waiting=waiting,
        oldest_waiting_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        failures_in_a_row=known.failures_in_a_row,
        failing_since=known.failing_since,
        last_success_at=known.last_success_at,
        down_since=known.down_since,
        paused_until=known.paused_until,
        held_until=known.held_until,
    )


def in_all(found: list[Endpoint]) -> tuple[int, float]:
    """How many deliveries wait, and for how many seconds the oldest has."""
    oldest = max((endpoint.oldest_waiting_seconds for endpoint in found), default=0.0)
    return sum(endpoint.waiting for endpoint in found), oldest


def by_key(found: list[Endpoint]) -> dict[str, list[Endpoint]]:
    """Those of active keys, and those of keys that are deactivated or expired: what waits for these is meant to."""
    return {
        "active": [endpoint for endpoint in found if endpoint.key_active],
        "inactive": [endpoint for endpoint in found if not endpoint.key_active],
    }


def by_health(found: list[Endpoint]) -> dict[str, int]:
    """How many endpoints are healthy, slowed, down and off."""
    counts = Counter(endpoint.health for endpoint in found)
    return {health: counts[health] for health in (*(each.value for each in Health), OFF)}


def by_state(waiting: int) -> dict[str, int]:
    """How many deliveries are kept in each state; `waiting` is known already."""
    ended = Delivery.objects.order_by().filter(
        state__in=[DeliveryState.MISSED, DeliveryState.WITHHELD, DeliveryState.CANCELLED]
    )
    counts: Mapping[str, int] = dict(ended.values("state").values_list("state", Count("pk")))
    known = {
        DeliveryState.WAITING.value: waiting,
        DeliveryState.FAILED.value: Delivery.objects.filter(state=DeliveryState.FAILED).count(),
        **{
            state.value: counts.get(state.value, 0)
            for state in (DeliveryState.MISSED, DeliveryState.WITHHELD, DeliveryState.CANCELLED)
        },
    }
    return {DeliveryState.DELIVERED.value: _delivered(sum(known.values())), **known}


def _delivered(others: int) -> int:
    few = Delivery.objects.filter(state=DeliveryState.DELIVERED).order_by()[: COUNTED + 1].count()
    if few <= COUNTED:
        return few
    return max(few, _estimated_rows() - others)


def _estimated_rows() -> int:
    if connection.vendor != "postgresql":
        return Delivery.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = 'webhooks_delivery'::regclass")
        (rows,) = cursor.fetchone()
    return int(rows)


def recent() -> Recent:
    """Judged by the newest attempts: those of the last minute, or so many as fit in less."""
    now = database_now()
    newest = Attempt.objects.order_by("-pk").values_list("started_at", "error_code", "total_ms")
    attempts = [row for row in newest[:RECENT_ATTEMPTS] if (now - row[0]).total_seconds() <= RECENT_SECONDS]
    full = len(attempts) == RECENT_ATTEMPTS
    span = max(1.0, (now - attempts[-1][0]).total_seconds()) if full else RECENT_SECONDS
    times = sorted(total_ms for _, _, total_ms in attempts)
    failed = sum(1 for _, error_code, _ in attempts if error_code)
    return Recent(
        delivered_per_second=(len(attempts) - failed) / span,
        failed_per_second=failed / span,
        median_ms=times[len(times) // 2] if times else None,
        p95_ms=times[len(times) * 95 // 100] if times else None,
    )


def tell() -> None:
    """Writes a line into the log, if anything waits or an endpoint is not healthy."""
    found = endpoints()
    waiting, oldest = in_all(found)
    health = by_health(found)
    if waiting or health[Health.SLOWED] or health[Health.DOWN]:
        log.info(
            "deliveries.backlog", waiting=waiting, oldest_waiting_seconds=round(oldest, 3), endpoints=health
        )


def events_so_far() -> int:
    """How many events there have been, pruned ones too."""
    return latest_position()
