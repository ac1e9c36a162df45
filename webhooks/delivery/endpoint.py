"""An endpoint's facts in their row: read, judged by `health`, written; and what waits, made due when they turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from webhooks.delivery.bulk import update_rows
from webhooks.delivery.health import (
    RULES,
    Answer,
    Facts,
    Health,
    after,
    has_failed_for_good,
    with_waiting,
)
from webhooks.delivery.lease import Lease, LeaseLost
from webhooks.delivery.retry import next_attempt_at
from webhooks.models import Delivery, DeliveryState, EndpointState

_COLUMNS = {
    "health": "text",
    "failures_in_a_row": "int",
    "failing_since": "timestamptz",
    "last_success_at": "timestamptz",
    "slowdowns": "int",
    "down_since": "timestamptz",
    "probes": "int",
    "paused_until": "timestamptz",
    "held_until": "timestamptz",
}
"""The facts' names, with PostgreSQL's type of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An endpoint before and after the answers of one batch. `uncounted`: deliveries whose attempt counts for none."""

    before: Facts
    facts: Facts
    uncounted: frozenset[int]

    @property
    def went_down(self) -> bool:
        return self.facts.is_down and not self.before.is_down

    @property
    def came_back(self) -> bool:
        return self.before.is_down and not self.facts.is_down


def facts_of(state: EndpointState) -> Facts:
    """The facts that the row holds."""
    return Facts(**{name: getattr(state, name) for name in _COLUMNS} | {"health": Health(state.health)})


def columns(facts: Facts) -> dict[str, object]:
    """The row's columns with these facts. A new streak of probes begins with the oldest."""
    values = {name: getattr(facts, name) for name in _COLUMNS} | {"health": facts.health.value}
    return values if facts.is_down else {**values, "probed_sequence": None}


def clean_slate() -> dict[str, object]:
    """The columns of an endpoint of which nothing is held against it; its last success is kept."""
    return {name: value for name, value in columns(Facts()).items() if name != "last_success_at"}


def judge(state: EndpointState, answers: Sequence[tuple[int, Answer]], now: datetime) -> Judged:
    """What these answers, by delivery and in their order, make of the endpoint."""
    before = facts = facts_of(state)
    failures = sum(not answer.succeeded for _, answer in answers)
    # How many wait is asked only where it decides something.
    may_go_down = failures and facts.failures_in_a_row + failures >= RULES.failures_until_down
    waiting = count_waiting(state.webhook_id) if may_go_down and not facts.is_down else 0
    uncounted = set()
    for delivery_id, answer in answers:
        if facts.is_down and not answer.succeeded:
            uncounted.add(delivery_id)
        facts = after(facts, answer, waiting=waiting, now=now)
    return Judged(before=before, facts=facts, uncounted=frozenset(uncounted))


def fails_for_good(judged: Judged, first_attempt_at: datetime | None, now: datetime) -> bool:
    """Whether this failure of a delivery turns its webhook off."""
    return has_failed_for_good(judged.facts, first_attempt_at=first_attempt_at, now=now)


def keep(judged: Mapping[int, Judged], now: datetime) -> None:
    """Writes the facts, alike ones together, and makes due what has to be: the caller holds the rows' locks."""
    for webhook_id, each in judged.items():
        if each.went_down:
            make_due(webhook_id, now)
        elif each.came_back:
            forget_overtaking(webhook_id)
            make_due(webhook_id, now)
    rows = [{"webhook_id": webhook_id, **columns(each.facts)} for webhook_id, each in judged.items()]
    is_down = Health.DOWN.value
    down = [row for row in rows if row["health"] == is_down]
    update_rows("webhooks_endpointstate", "webhook_id", _COLUMNS, down)
    others = [row for row in rows if row["health"] != is_down]
    update_rows("webhooks_endpointstate", "webhook_id", {**_COLUMNS, "probed_sequence": "bigint"}, others)


def count_waiting(webhook_id: int) -> int:
    """How many wait, counted as far as it matters."""
    waiting = Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING)
    return len(waiting.order_by().values_list("pk")[: RULES.waiting_until_down])


def make_due(webhook_id: int, now: datetime) -> None:
    """All that waits is due: while an endpoint is down, its pause alone holds it, and when it is back, nothing."""
    Delivery.objects.filter(webhook_id=webhook_id, next_attempt_at__gt=now).update(next_attempt_at=now)


def forget_overtaking(webhook_id: int) -> None:
    """What failed through an outage did not fail while others succeeded."""
    waiting = Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING)
    waiting.filter(overtaken_since__isnull=False).update(overtaken_since=None)


def has_been_passed(webhook_id: int, *, lead_id: int, by: int, now: datetime) -> None:
    """A later delivery of the lead arrived where its earlier ones had just failed: those hold nothing back now."""
    Delivery.objects.filter(
        webhook_id=webhook_id, state=DeliveryState.WAITING, lead_id=lead_id, id__lt=by
    ).update(overtaken_since=now - RULES.step_aside_after)


def facts_before_claim(
    lease: Lease, facts: Facts, *, holder: str, now: datetime, schedule: Sequence[float]
) -> Facts:
    """The facts with what waits by now taken in, written where that turned them. Raises `LeaseLost`."""
    if not facts.is_down and facts.failures_in_a_row < RULES.failures_until_down:
        return facts
    turned = with_waiting(facts, count_waiting(lease.webhook_id), now)
    if turned == facts:
        return facts
    ours = EndpointState.objects.filter(
        webhook_id=lease.webhook_id, lease_holder=holder, lease_number=lease.number
    )
    if not ours.update(**columns(turned)):
        raise LeaseLost(lease.webhook_id)
    if turned.is_down:
        make_due(lease.webhook_id, now)
    else:
        _back_to_schedule(lease.webhook_id, now, schedule)
    return turned


def _back_to_schedule(webhook_id: int, now: datetime, schedule: Sequence[float]) -> None:
    """A single one that waits follows its own schedule again."""
    waiting = Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING, attempts__gte=1)
    for delivery_id, attempts in list(waiting.values_list("pk", "attempts")):
        due = next_attempt_at(attempts=attempts, now=now, jitter=0, schedule=schedule)
        Delivery.objects.filter(pk=delivery_id).update(next_attempt_at=due or now)
