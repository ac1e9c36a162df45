"""Outcomes into the database, in bulk: deliveries moved on, attempts logged, the endpoint's facts kept."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from calliyo.fields import whole_milliseconds
from webhooks.delivery.bulk import Row, ids_text, insert_rows, update_rows
from webhooks.delivery.claim import Parcel
from webhooks.delivery.clock import database_now
from webhooks.delivery.health import GONE, Facts, after
from webhooks.delivery.retry import next_attempt_at
from webhooks.delivery.send import AttemptResult
from webhooks.models import Delivery, DeliveryState, EndpointState

MAX_ERROR = 500
# One that became `missed` on its way (its webhook was turned off) has arrived all the same.
_DELIVERED = """
    UPDATE webhooks_delivery
    SET state = 'delivered', attempts = attempts + 1, finished_at = %s, next_attempt_at = NULL, last_status = %s,
        last_error = ''
    WHERE id IN ({ids}) AND state IN ('waiting', 'missed')
"""
_FACTS = {"failures_in_a_row": "int", "failing_since": "timestamptz", "last_success_at": "timestamptz"}
_ATTEMPT = {
    "delivery_id": "bigint",
    "number": "int",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt, under which lease it was made, and what was sent (as the log may show it)."""

    parcel: Parcel
    webhook_id: int
    lease_number: int
    started_at: datetime
    request_headers: dict[str, str]
    result: AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How many outcomes counted, how many came under a lease that others have now, and who answered 410.

    `retries`: by webhook, in how many seconds its next retry is due.
    """

    counted: int
    stale: int
    gone: frozenset[int]
    retries: Mapping[int, float]


def record(
    outcomes: Sequence[Outcome], *, holder: str, schedule: Sequence[float], jitter: Callable[[], float]
) -> Recorded:
    """Writes the outcomes that were made under a lease that is still `holder`'s, all in one transaction."""
    with transaction.atomic():
        states = _our_states({outcome.webhook_id for outcome in outcomes}, holder)
        counted = [
            outcome
            for outcome in outcomes
            if outcome.webhook_id in states
            and states[outcome.webhook_id].lease_number == outcome.lease_number
        ]
        now = database_now()
        _mark_delivered([outcome for outcome in counted if outcome.result.succeeded], now)
        failed = [outcome for outcome in counted if not outcome.result.succeeded]
        retries = _mark_failed(failed, now, schedule, jitter)
        insert_rows("webhooks_attempt", _ATTEMPT, [_attempt(outcome) for outcome in counted])
        _keep_facts(states, counted, now)
    gone = frozenset(outcome.webhook_id for outcome in counted if outcome.result.status == GONE)
    return Recorded(counted=len(counted), stale=len(outcomes) - len(counted), gone=gone, retries=retries)


def without_answer(outcome: Outcome) -> Outcome:
    """The same outcome without what the stranger said, should the database not take that."""
    return replace(outcome, result=replace(outcome.result, headers={}, body=b""))


def _our_states(webhook_ids: set[int], holder: str) -> dict[int, EndpointState]:
    rows = EndpointState.objects.filter(webhook_id__in=webhook_ids, lease_holder=holder)
    return {state.webhook_id: state for state in rows.select_for_update(no_key=True).order_by("webhook_id")}


def _mark_delivered(outcomes: Sequence[Outcome], now: datetime) -> None:
    by_status: dict[int | None, list[int]] = defaultdict(list)
    for outcome in outcomes:
        by_status[outcome.result.status].append(outcome.parcel.delivery_id)
    moment = connection.ops.adapt_datetimefield_value(now)
    for status, ids in by_status.items():
        with connection.cursor() as cursor:
            cursor.execute(_DELIVERED.format(ids=ids_text(ids)), [moment, status])


def _mark_failed(
    outcomes: Sequence[Outcome], now: datetime, schedule: Sequence[float], jitter: Callable[[], float]
) -> dict[int, float]:
    """Moves them to their next attempt or to their end; in how many seconds each webhook's next retry is due."""
    if not outcomes:
        return {}
    retries: dict[int, float] = {}
    waiting = Delivery.objects.filter(
        pk__in=[outcome.parcel.delivery_id for outcome in outcomes], state=DeliveryState.WAITING
    ).defer("body")
    rows = {row.pk: row for row in waiting.select_for_update(no_key=True).order_by("pk")}
    for outcome in outcomes:
        row = rows.get(outcome.parcel.delivery_id)
        if row is None:
            continue
        due = next_attempt_at(attempts=row.attempts + 1, now=now, jitter=jitter(), schedule=schedule)
        _fail(row, outcome, due, now)
        if due is not None:
            wait = (due - now).total_seconds()
            retries[outcome.webhook_id] = min(wait, retries.get(outcome.webhook_id, wait))
    Delivery.objects.bulk_update(
        rows.values(), ["attempts", "last_status", "last_error", "next_attempt_at", "state", "finished_at"]
    )
    return retries


def _fail(row: Delivery, outcome: Outcome, due: datetime | None, now: datetime) -> None:
    row.attempts += 1
    row.last_status = outcome.result.status
    row.last_error = _error(outcome)
    row.next_attempt_at = due
    if due is None:
        row.state = DeliveryState.FAILED
        row.finished_at = now


def _attempt(outcome: Outcome) -> Row:
    result = outcome.result
    timings = result.timings
    return {
        "delivery_id": outcome.parcel.delivery_id,
        "number": outcome.parcel.attempts + 1,
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


def _keep_facts(states: dict[int, EndpointState], counted: Sequence[Outcome], now: datetime) -> None:
    by_webhook: dict[int, list[bool]] = defaultdict(list)
    for outcome in counted:
        by_webhook[outcome.webhook_id].append(outcome.result.succeeded)
    rows = []
    for webhook_id, successes in by_webhook.items():
        state = states[webhook_id]
        before = Facts(
            failures_in_a_row=state.failures_in_a_row,
            failing_since=state.failing_since,
            last_success_at=state.last_success_at,
        )
        rows.append({"webhook_id": webhook_id, **asdict(after(before, successes, now))})
    update_rows("webhooks_endpointstate", "webhook_id", _FACTS, rows)


def _error(outcome: Outcome) -> str:
    failure = outcome.result.failure
    return _text(failure.words)[:MAX_ERROR] if failure else ""


def _text(value: Any) -> str:
    # PostgreSQL stores no NUL in text, and strangers' servers send what they like.
    return str(value).replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
