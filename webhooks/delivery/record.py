"""Outcomes into the database, in bulk: deliveries moved on, attempts logged, the endpoint's facts kept."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from calliyo.fields import whole_milliseconds
from webhooks import last_day
from webhooks.delivery.bulk import Row, ids_text, insert_rows, update_rows
from webhooks.delivery.claim import Parcel
from webhooks.delivery.clock import database_now, seconds_since
from webhooks.delivery.endpoint import Judged, fails_for_good, has_been_passed, judge, keep
from webhooks.delivery.health import GONE, Answer, overtaken_since, retry_after
from webhooks.delivery.loaded import held_states
from webhooks.delivery.result import AttemptResult
from webhooks.delivery.retry import next_attempt_at
from webhooks.models import Delivery, DeliveryState, EndpointState

MAX_ERROR = 500
# One that became `missed` on its way (its webhook was turned off) has arrived all the same.
_DELIVERED = """
    UPDATE webhooks_delivery
    SET state = 'delivered', attempts = attempts + 1, finished_at = %s, next_attempt_at = NULL, last_status = %s,
        last_error = ''
    WHERE id IN ({ids}) AND state IN ('waiting', 'missed')
    RETURNING {seconds}
"""
_ATTEMPT = {
    "delivery_id": "bigint",
    "number": "int",
    "probe": "boolean",
    "started_at": "timestamptz",
    "address": "inet",
    "request_headers": "jsonb",
    "status": "int",
    "response_headers": "jsonb",
    "response_body": "text",
    "error_code": "text",
    "error": "text",
    "dns_ms": "float8",
    "connect_ms": "float8",
    "tls_ms": "float8",
    "first_byte_ms": "float8",
    "total_ms": "float8",
}

_FAILED = {
    "attempts": "int",
    "last_status": "int",
    "last_error": "text",
    "next_attempt_at": "timestamptz",
    "state": "text",
    "finished_at": "timestamptz",
    "overtaken_since": "timestamptz",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt, under which lease it was made, and what was sent (as the log may show it)."""

    parcel: Parcel
    webhook_id: int
    lease_number: int
    started_at: datetime
    request_headers: dict[str, str]
    result: AttemptResult

    def answer(self) -> Answer:
        """What it says of the endpoint."""
        result = self.result
        return Answer(
            succeeded=result.succeeded,
            status=result.status,
            retry_after=None if result.succeeded else retry_after(result.headers, self.started_at),
            probe=self.parcel.probe is not None and not self.parcel.probe.goes_on,
        )

    def counted(self) -> last_day.Answered:
        """What the counters of its webhook's last day take in."""
        return last_day.Answered(self.webhook_id, self.result.succeeded, self.result.timings.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which outcomes counted, how many came under a lease that others have now, and which webhooks are off by them.

    `delivered_after`: of each that was delivered, the seconds since it was queued. `gone`: answered 410; `failing`:
    nothing but failures for days. `retries`: by webhook, in how many seconds the next retry or probe is due.
    `asked_for`: webhooks that another worker, which has nothing to do, would serve.
    """

    counted: Sequence[Outcome]
    delivered_after: Sequence[float]
    stale: int
    gone: frozenset[int]
    failing: frozenset[int]
    retries: Mapping[int, float]
    asked_for: frozenset[int]


def record(
    outcomes: Sequence[Outcome], *, holder: str, schedule: Sequence[float], jitter: Callable[[], float]
) -> Recorded:
    """Writes the outcomes that were made under a lease that is still `holder`'s, all in one transaction."""
    with transaction.atomic():
        states = held_states({outcome.webhook_id for outcome in outcomes}, holder)
        counted = [
            outcome
            for outcome in outcomes
            if outcome.webhook_id in states
            and states[outcome.webhook_id].lease_number == outcome.lease_number
        ]
        now = database_now()
        delivered_after = _mark_delivered([outcome for outcome in counted if outcome.result.succeeded], now)
        judged = _judged(states, counted, now)
        failed = [outcome for outcome in counted if not outcome.result.succeeded]
        failures = _mark_failed(failed, judged, now, schedule, jitter)
        insert_rows("webhooks_attempt", _ATTEMPT, [_attempt(outcome, judged) for outcome in counted])
        keep(judged, now)
        _mark_passed(counted, judged, now)
        last_day.count((outcome.counted() for outcome in counted), failures.ended, now)
    return Recorded(
        counted=counted,
        delivered_after=delivered_after,
        stale=len(outcomes) - len(counted),
        gone=frozenset(outcome.webhook_id for outcome in counted if outcome.result.status == GONE),
        failing=failures.for_good,
        retries=failures.retries,
        asked_for=frozenset(webhook_id for webhook_id, state in states.items() if state.asked_for),
    )


def without_answer(outcome: Outcome) -> Outcome:
    """The same outcome without what the stranger said, should the database not take that."""
    return replace(outcome, result=replace(outcome.result, headers={}, body=b""))


def _mark_delivered(outcomes: Sequence[Outcome], now: datetime) -> list[float]:
    """Of each that is delivered now, how many seconds after it was queued."""
    seconds: list[float] = []
    by_status: dict[int | None, list[int]] = defaultdict(list)
    for outcome in outcomes:
        by_status[outcome.result.status].append(outcome.parcel.delivery_id)
    moment = connection.ops.adapt_datetimefield_value(now)
    for status, ids in by_status.items():
        with connection.cursor() as cursor:
            statement = _DELIVERED.format(ids=ids_text(ids), seconds=seconds_since("created_at"))
            cursor.execute(statement, [moment, status, moment])
            seconds += [max(0.0, each) for (each,) in cursor.fetchall()]
    return seconds


def _judged(
    states: Mapping[int, EndpointState], counted: Sequence[Outcome], now: datetime
) -> dict[int, Judged]:
    answers: dict[int, list[tuple[int, Answer]]] = defaultdict(list)
    for outcome in counted:
        answers[outcome.webhook_id].append((outcome.parcel.delivery_id, outcome.answer()))
    return {webhook_id: judge(states[webhook_id], each, now) for webhook_id, each in answers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failures:
    """In how many seconds each webhook is to be looked at again, and which have failed for good.

    `ended`: by webhook, how many deliveries have failed with their last attempt.
    """

    retries: Mapping[int, float]
    for_good: frozenset[int]
    ended: Mapping[int, int]


def _mark_failed(
    outcomes: Sequence[Outcome],
    judged: Mapping[int, Judged],
    now: datetime,
    schedule: Sequence[float],
    jitter: Callable[[], float],
) -> _Failures:
    """Moves them to their next attempt or to their end; a probe stays due as it is."""
    retries: dict[int, float] = {}
    for_good: set[int] = set()
    waiting = Delivery.objects.filter(
        pk__in=[outcome.parcel.delivery_id for outcome in outcomes], state=DeliveryState.WAITING
    ).defer("body")
    rows = {row.pk: row for row in waiting.select_for_update(no_key=True).order_by("pk")} if outcomes else {}
    for outcome in outcomes:
        row = rows.get(outcome.parcel.delivery_id)
        if row is None:
            continue
        endpoint = judged[outcome.webhook_id]
        wait = _fail(row, outcome, endpoint, now, schedule, jitter())
        if wait is not None:
            retries[outcome.webhook_id] = min(wait, retries.get(outcome.webhook_id, wait))
        if fails_for_good(endpoint, row.first_attempt_at, now):
            for_good.add(outcome.webhook_id)
    update_rows("webhooks_delivery", "id", _FAILED, [_failed(row) for row in rows.values()])
    ended = Counter(row.webhook_id for row in rows.values() if row.state == DeliveryState.FAILED)
    return _Failures(retries=retries, for_good=frozenset(for_good), ended=ended)


def _fail(
    row: Delivery,
    outcome: Outcome,
    endpoint: Judged,
    now: datetime,
    schedule: Sequence[float],
    jitter: float,
) -> float | None:
    """Seconds until the endpoint may be tried with it again; None where it has failed."""
    row.last_status = outcome.result.status
    row.last_error = _error(outcome)
    until_open = endpoint.facts.seconds_to_wait(now)
    if row.pk in endpoint.uncounted:
        return until_open
    if row.overtaken_since is None:
        row.overtaken_since = overtaken_since(
            attempts=row.attempts,
            first_attempt_at=row.first_attempt_at,
            last_success_at=endpoint.before.last_success_at,
        )
    row.attempts += 1
    due = next_attempt_at(attempts=row.attempts, now=now, jitter=jitter, schedule=schedule)
    row.next_attempt_at = due
    if due is None:
        row.state = DeliveryState.FAILED
        row.finished_at = now
        return None
    return until_open if endpoint.facts.is_down else max(until_open, (due - now).total_seconds())


def _failed(row: Delivery) -> Row:
    return {"id": row.pk, **{name: getattr(row, name) for name in _FAILED}}


def _mark_passed(counted: Sequence[Outcome], judged: Mapping[int, Judged], now: datetime) -> None:
    for outcome in counted:
        probe = outcome.parcel.probe
        if (
            probe is not None
            and probe.passes
            and outcome.result.succeeded
            and judged[outcome.webhook_id].came_back
        ):
            has_been_passed(
                outcome.webhook_id, lead_id=outcome.parcel.lead_id, by=outcome.parcel.delivery_id, now=now
            )


def _attempt(outcome: Outcome, judged: Mapping[int, Judged]) -> Row:
    result = outcome.result
    timings = result.timings
    return {
        "delivery_id": outcome.parcel.delivery_id,
        "number": outcome.parcel.attempts + 1,
        "probe": outcome.parcel.delivery_id in judged[outcome.webhook_id].uncounted,
        "started_at": whole_milliseconds(outcome.started_at),
        "address": result.address,
        "request_headers": outcome.request_headers,
        "status": result.status,
        "response_headers": {_text(name): _text(value) for name, value in result.headers.items()},
        "response_body": _text(result.body.decode("utf-8", "replace")),
        "error_code": result.failure.code if result.failure else "",
        "error": _error(outcome),
        "dns_ms": _milliseconds(timings.dns),
        "connect_ms": _milliseconds(timings.connect),
        "tls_ms": _milliseconds(timings.tls),
        "first_byte_ms": _milliseconds(timings.first_byte),
        "total_ms": round(timings.total * 1000, 3),
    }


def _error(outcome: Outcome) -> str:
    failure = outcome.result.failure
    return _text(failure.words)[:MAX_ERROR] if failure else ""


def _text(value: Any) -> str:
    # PostgreSQL stores no NUL in text, and strangers' servers send what they like.
    return str(value).replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
