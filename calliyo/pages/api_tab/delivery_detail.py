"""One delivery opened: what was sent, and each attempt with its answer, its times and its error in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict
from django.utils import timezone

from calliyo.ids import read_id
from calliyo.pages.api_tab.delivery_list import address_of, hold_of
from calliyo.pages.api_tab.delivery_words import clock_words, duration_words, next_attempt, outcome_of
from calliyo.pages.api_tab.exchange import (
    Step,
    answer_text,
    header_lines,
    outcome_of_answer,
    pretty,
    request_head,
    steps,
)
from calliyo.pages.api_tab.health import State
from calliyo.pages.wording import exact
from webhooks.models import Attempt, Delivery, Event, Webhook

ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptShown:
    """One attempt; `answer` is empty when none came. A `probe` does not count."""

    number: int
    probe: bool
    at: datetime
    exact: str
    clock: str
    outcome: State
    duration: str
    steps: Sequence[Step]
    address: str
    headers: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryShown:
    """A delivery as it is opened. `body` is None where the event is no longer kept.

    `settled`: the body is what was sent; before the first attempt it can still change with the key's scopes.
    """

    id: int
    event: str
    event_id: str
    sequence: int | None
    lead_id: int
    again: bool
    at: datetime
    exact: str
    clock: str
    outcome: State
    attempts: int
    next: str
    settled: bool
    request: str
    body: str | None
    pretty: str
    log: Sequence[AttemptShown]
    earlier: str
    address: str
    back: str
    can_resend: bool


def delivery_shown(webhook: Webhook, query: QueryDict, list_query: str) -> DeliveryShown:
    """The delivery that `delivery=` names; raises `Delivery.DoesNotExist`. Times are in the current zone."""
    delivery = Delivery.objects.get(pk=read_id(query.get("delivery", "")) or 0, webhook_id=webhook.pk)
    event = Event.objects.filter(pk=delivery.event_id).first()
    attempts = _attempts(delivery, read_id(query.get("until", "")))
    now = timezone.now()
    body = delivery.body if delivery.body is not None else (event.payload if event else None)
    address = address_of(webhook, delivery=delivery.pk)
    return DeliveryShown(
        id=delivery.pk,
        event=delivery.type,
        event_id=event.public_id if event else "",
        sequence=delivery.sequence,
        lead_id=delivery.lead_id,
        again=delivery.cause == "replay",
        at=delivery.created_at,
        exact=exact(delivery.created_at),
        clock=clock_words(delivery.created_at, now),
        outcome=outcome_of(delivery),
        attempts=delivery.attempts,
        next=next_attempt(delivery, hold_of(webhook, webhook.api_key, now), now),
        settled=delivery.first_attempt_at is not None,
        request=request_head(webhook.url, _in_order(attempts[0].request_headers)) if attempts else "",
        body=body,
        pretty=pretty(body) if body else "",
        log=[_attempt(each, now) for each in attempts[:ATTEMPTS]],
        earlier=f"{address}&until={attempts[ATTEMPTS].pk}" if len(attempts) > ATTEMPTS else "",
        address=address,
        back=f"{address_of(webhook)}&{list_query}" if list_query else address_of(webhook),
        can_resend=event is not None,
    )


def _attempts(delivery: Delivery, until: int | None) -> list[Attempt]:
    """The latest ones, one more than are shown; an endpoint that was down for days has seen hundreds of probes."""
    log = Attempt.objects.filter(delivery=delivery).order_by("-number", "-pk")
    if until is not None:
        log = log.filter(pk__lte=until)
    return list(log[: ATTEMPTS + 1])


def _attempt(attempt: Attempt, now: datetime) -> AttemptShown:
    return AttemptShown(
        number=attempt.number,
        probe=attempt.probe,
        at=attempt.started_at,
        exact=exact(attempt.started_at),
        clock=clock_words(attempt.started_at, now),
        outcome=outcome_of_answer(attempt.status, attempt.error),
        duration=duration_words(attempt.total_ms),
        steps=steps(attempt.dns_ms, attempt.connect_ms, attempt.tls_ms, attempt.first_byte_ms),
        address=attempt.address or "",
        headers=header_lines(_in_order(attempt.request_headers)),
        answer=""
        if attempt.status is None
        else answer_text(attempt.status, _in_order(attempt.response_headers), attempt.response_body),
    )


def _in_order(headers: Mapping[str, str]) -> dict[str, str]:
    """By name: PostgreSQL's JSON does not keep the order in which they were sent."""
    return dict(sorted(headers.items(), key=lambda header: header[0].lower()))
