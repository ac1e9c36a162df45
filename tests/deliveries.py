"""A webhook's log as it is after a busy day: one delivery of each outcome, with attempts, for pages to show."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from webhooks.catalogue import EventType
from webhooks.last_day import Answered, count
from webhooks.models import Attempt, Delivery, Event, Webhook
from webhooks.samples import sample_payload


def new_delivery(
    webhook: Webhook,
    *,
    state: str = "delivered",
    event: EventType = EventType.LEAD_CREATED,
    lead_id: int = 1042,
    ago: timedelta = timedelta(),
    next_in: timedelta = timedelta(),
    **values: Any,
) -> Delivery:
    """One delivery with its event; what ended did so when it was made."""
    at = timezone.now() - ago
    uid = uuid4()
    payload = sample_payload(event, uid=uid, at=at)
    recorded = Event.objects.create(uid=uid, type=event, lead_id=lead_id, payload=payload, created_at=at)
    waits = state == "waiting"
    tried = {"attempts": 1, "first_attempt_at": at, "last_status": 200} if state == "delivered" else {}
    return Delivery.objects.create(
        webhook=webhook,
        event=recorded,
        type=event,
        lead_id=lead_id,
        state=state,
        created_at=at,
        next_attempt_at=timezone.now() + next_in if waits else None,
        finished_at=None if waits else at,
        **tried | values,
    )


def new_attempt(delivery: Delivery, number: int = 1, **values: Any) -> Attempt:
    """One attempt of it, answered 200 where nothing else is said."""
    headers = {
        "Host": "flow.zoho.example",
        "Content-Length": "712",
        "Content-Type": "application/json",
        "User-Agent": "Calliyo-Webhooks/1",
        "X-Calliyo-Event": delivery.type,
        "X-Calliyo-Delivery": str(delivery.pk),
        "webhook-id": delivery.event.public_id,
        "webhook-timestamp": "1764039125",
        "X-Calliyo-Signature": "t=1764039125,v1=" + "5f0c9a1e" * 8,
    }
    answer: dict[str, Any] = {
        "status": 200,
        "response_headers": {"Content-Type": "application/json", "Server": "ZGS"},
        "response_body": '{"status": "ok"}',
        "dns_ms": 3.1,
        "connect_ms": 11.4,
        "tls_ms": 24.9,
        "first_byte_ms": 41.7,
        "total_ms": 84.2,
        "address": "203.0.113.80",
    }
    return Attempt.objects.create(
        delivery=delivery,
        number=number,
        request_headers=headers,
        **{"started_at": delivery.created_at, **answer, **values},
    )


def busy_day(webhook: Webhook) -> dict[str, Delivery]:
    """Counters of a day, and a log with each outcome; by outcome, and `retried` for one that is tried again."""
    _counters(webhook, timezone.now())
    minute = timedelta(minutes=1)
    for number in range(6):
        new_attempt(
            new_delivery(
                webhook, ago=(80 - 7 * number) * minute, lead_id=1030 + number, event=EventType.LEAD_UPDATED
            )
        )
    missed = new_delivery(webhook, state="missed", ago=30 * minute, event=EventType.LEAD_CONVERTED)
    withheld = new_delivery(webhook, state="withheld", ago=26 * minute, event=EventType.CALL_COMPLETED)
    failed = new_delivery(
        webhook,
        state="failed",
        ago=21 * minute,
        attempts=3,
        last_status=500,
        last_error="the endpoint answered 500",
        first_attempt_at=timezone.now(),
    )
    for number in (1, 2):
        new_attempt(
            failed, number, status=None, response_headers={}, response_body="", first_byte_ms=None, total_ms=15000.0,
            error_code="timed_out", error="no answer within 15 s",
        )  # fmt: skip
    new_attempt(
        failed,
        3,
        status=500,
        response_body="<h1>Oops</h1>",
        error_code="status",
        error="the endpoint answered 500",
    )
    retried = new_delivery(
        webhook, state="waiting", ago=4 * minute, next_in=48 * minute / 60, attempts=1, last_status=503, lead_id=1039,
        last_error="the endpoint answered 503", first_attempt_at=timezone.now(),
    )  # fmt: skip
    new_attempt(retried, status=503, error_code="status", error="the endpoint answered 503", total_ms=1204.0)
    waiting = new_delivery(
        webhook,
        state="waiting",
        ago=minute / 2,
        next_in=2 * minute,
        lead_id=1039,
        event=EventType.LEAD_UPDATED,
    )
    delivered = new_delivery(webhook, ago=minute / 3, lead_id=1041, event=EventType.LEAD_STATUS_CHANGED)
    new_attempt(delivered)
    return {
        "missed": missed,
        "withheld": withheld,
        "failed": failed,
        "retried": retried,
        "waiting": waiting,
        "delivered": delivered,
    }


def _counters(webhook: Webhook, now: datetime) -> None:
    by_hour = (21, 17, 15, 9, 6, 7, 11, 24, 48, 60, 66, 58, 63, 45, 52, 69, 74, 62, 51, 37, 29, 23, 26, 31)
    for hours_ago, number in enumerate(reversed(by_hour)):
        times = [0.05 + 0.002 * number + 0.03 * (each % 7 == 0) for each in range(number)]
        count([Answered(webhook.pk, True, each) for each in times], {}, now - timedelta(hours=hours_ago))
    count([Answered(webhook.pk, False, 15.0)] * 9, {webhook.pk: 1}, now - timedelta(hours=8))
