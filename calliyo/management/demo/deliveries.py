"""The log of the demo's webhooks: what happened to the demo's leads in the last days, sent to a receiver that is none.

Each row is as the engine would have written it: bodies cut to the key's scopes, requests signed with the webhook's
secret, failures in its words, counters beside them. Only the answers are made up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import orjson
from django.conf import settings
from uuid_utils.compat import uuid7

from calliyo.actor import Actor, ActorType
from leads.activities import ActivityKind
from leads.models import Activity, Call
from leads.pictures import Picture, read_leads
from webhooks.body import body_for
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.configured import configured_sender
from webhooks.delivery.failures import Failure, failure_of, status_failure
from webhooks.delivery.sentences import Sentence
from webhooks.delivery.target import target_of
from webhooks.facts import Fact
from webhooks.last_day import HOUR, HOURS, Answered, count, quarter_of
from webhooks.models import Attempt, Delivery, DeliveryState, EndpointState, Event, Webhook
from webhooks.recording import render

_DAYS = 5
_WITHHELD = 4  # calls
_ON_THEIR_WAY = 3  # the latest ones, which had no attempt yet when the webhook was turned off
_ADDRESS = "203.0.113.80"
_ANSWERS = {
    200: '{"code": "SUCCESS", "message": "record updated"}',
    422: '{"code": "INVALID_DATA", "details": {"api_name": "Campaign"}, "message": "unknown picklist value"}',
    503: '{"code": "SERVICE_UNAVAILABLE", "message": "try again later"}',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """An event, not yet stored or from the log, and when it happened as the demo tells it."""

    event: Event
    at: datetime


@dataclass(slots=True, kw_only=True)
class _Story:
    """What comes of one delivery: the HTTP status of each attempt (None: no answer), and when each began."""

    statuses: Sequence[int | None]
    starts: Sequence[datetime]
    times: list[float] = field(default_factory=list)  # milliseconds


def write_log(webhook: Webhook, phones: Sequence[str], *, now: datetime) -> int:
    """Five days of deliveries, one of each outcome among them; gives how many.

    Those of the latest calls are withheld where the key may see no calls. The last ones still wait: they become
    `missed` when the webhook is turned off.
    """
    deliveries = _queued(webhook, [*_moves(phones, now), *_calls(phones)])
    waiting = deliveries[-_ON_THEIR_WAY:]
    poisoned = _longest_tried(deliveries, now)
    stories: dict[int, _Story] = {}
    for number, delivery in enumerate(deliveries, 1):
        if delivery in waiting:
            continue
        delivery.sequence = number
        scope = needed_scope(EventType(delivery.type))
        if scope not in webhook.api_key.scopes:
            _end(
                delivery,
                DeliveryState.WITHHELD,
                delivery.created_at,
                error=Sentence.SCOPE_LOST.told(scope=scope),
            )
        else:
            stories[delivery.pk] = _story(delivery, number, is_poisoned=delivery is poisoned)
            _settle(delivery, stories[delivery.pk])
    attempts = _attempts(webhook, [each for each in deliveries if each.pk in stories], stories)
    Delivery.objects.bulk_update(
        deliveries,
        [
            *("sequence", "state", "attempts", "first_attempt_at", "finished_at", "next_attempt_at"),
            *("last_status", "last_error", "body"),
        ],
        batch_size=100,
    )
    Attempt.objects.bulk_create(attempts, batch_size=50)
    _count(webhook, deliveries, stories, now)
    EndpointState.objects.filter(webhook=webhook).update(
        last_sequence=max((each.sequence or 0 for each in deliveries), default=0), last_success_at=now - HOUR
    )
    return len(deliveries)


def write_waiting(webhook: Webhook, phones: Sequence[str], *, now: datetime) -> int:
    """The latest few events, which wait until the webhook's key is active again; gives how many."""
    told = sorted(_moves(phones, now), key=lambda each: each.at)
    wanted = [each for each in told if each.event.type in webhook.events]
    return len(_queued(webhook, wanted[-_ON_THEIR_WAY:]))


def _moves(phones: Sequence[str], now: datetime) -> Iterator[_Told]:
    """The leads' changes of status, each told by two events."""
    since = now - timedelta(days=_DAYS)
    activities = Activity.objects.filter(
        kind=ActivityKind.STATUS_CHANGED, lead__phone__in=phones, at__gte=since, at__lt=now
    )
    moves = list(activities.values_list("lead_id", "at", "actor_type", "actor_id", "actor_name", "data"))
    pictures = read_leads([lead_id for lead_id, *_ in moves])
    for lead_id, at, actor_type, actor_id, actor_name, change in moves:
        lead: Picture = pictures[lead_id] | {"status": change["to"]}
        actor = Actor(type=ActorType(actor_type), id=actor_id, name=actor_name)
        for event in (EventType.LEAD_UPDATED, EventType.LEAD_STATUS_CHANGED):
            fact = Fact(event, lead_id, {"lead": lead, "changes": {"status": change}})
            yield _Told(event=_event(fact, at, actor), at=at)


def _calls(phones: Sequence[str]) -> Iterator[_Told]:
    """The latest calls, with the events that were recorded when the demo got them."""
    calls = Call.objects.filter(lead__phone__in=phones, ended_at__isnull=False).order_by("-ended_at", "-pk")
    ended_at = dict(calls.values_list("pk", "ended_at")[:_WITHHELD])
    leads = Call.objects.filter(pk__in=ended_at).values("lead_id")
    for event in Event.objects.filter(type=EventType.CALL_COMPLETED, lead_id__in=leads):
        call = orjson.loads(event.payload)["data"]["call"]["id"]
        if call in ended_at:
            yield _Told(event=event, at=ended_at[call])


def _event(fact: Fact, at: datetime, actor: Actor) -> Event:
    uid = uuid7()
    return Event(
        uid=uid,
        type=fact.type,
        lead_id=fact.lead_id,
        payload=render(uid=uid, event_type=fact.type, at=at, actor=actor, data=fact.data).decode(),
        actor_type=actor.type,
        actor_id=actor.id,
        created_at=at,
    )


def _queued(webhook: Webhook, told: Sequence[_Told]) -> list[Delivery]:
    """The deliveries of these events, in the order in which these happened; they wait."""
    in_order = sorted(told, key=lambda each: each.at)
    Event.objects.bulk_create((each.event for each in in_order if each.event._state.adding), batch_size=100)
    return Delivery.objects.bulk_create(
        (
            Delivery(
                webhook=webhook,
                event=each.event,
                type=each.event.type,
                lead_id=each.event.lead_id,
                created_at=each.at,
                next_attempt_at=each.at,
            )
            for each in in_order
        ),
        batch_size=100,
    )


def _longest_tried(deliveries: Sequence[Delivery], now: datetime) -> Delivery | None:
    """The one that the receiver refuses each time: old enough for all attempts, the last of them not long ago."""
    whole = timedelta(seconds=sum(settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE))
    old = [
        each for each in deliveries if each.created_at < now - whole and each.type == EventType.LEAD_UPDATED
    ]
    return old[-1] if old else None


def _story(delivery: Delivery, number: int, *, is_poisoned: bool) -> _Story:
    random = Random(f"calliyo demo delivery {number}")  # noqa: S311  # the same each time is what is wanted
    schedule = settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE
    statuses: list[int | None] = [200]
    if is_poisoned:
        statuses = [422] * len(schedule)
    elif number % 13 == 0 and len(schedule) > 1:
        statuses = [503, 200]
    elif number % 29 == 0 and len(schedule) > 1:
        statuses = [None, 200]
    starts, at = [], delivery.created_at + timedelta(milliseconds=random.randint(20, 180))
    for wait in schedule[: len(statuses)]:
        at += timedelta(seconds=wait)
        starts.append(at)
    times = [
        settings.CALLIYO_WEBHOOK_TIMEOUT * 1000.0
        if status is None
        else round(random.lognormvariate(4.6, 0.5), 1)
        for status in statuses
    ]
    return _Story(statuses=statuses, starts=starts, times=times)


def _settle(delivery: Delivery, story: _Story) -> None:
    failure = _failure(story.statuses[-1])
    ended = story.starts[-1] + timedelta(milliseconds=round(story.times[-1]))
    delivery.attempts, delivery.first_attempt_at = len(story.statuses), story.starts[0]
    delivery.last_status = story.statuses[-1]
    state = DeliveryState.FAILED if failure else DeliveryState.DELIVERED
    _end(delivery, state, ended, error=failure.words if failure else "")


def _end(delivery: Delivery, state: DeliveryState, at: datetime, *, error: str) -> None:
    delivery.state, delivery.finished_at, delivery.next_attempt_at = state, at, None
    delivery.last_error = error


def _failure(status: int | None) -> Failure | None:
    if status is None:
        return failure_of(TimeoutError(), timeout=settings.CALLIYO_WEBHOOK_TIMEOUT)
    return status_failure(status)


def _attempts(webhook: Webhook, deliveries: Sequence[Delivery], stories: dict[int, _Story]) -> list[Attempt]:
    """The attempts of those that were sent, which get the body that was sent."""
    sender = configured_sender()
    attempts: list[Attempt] = []
    for delivery in deliveries:
        payload = delivery.event.payload
        body = body_for(payload, scopes=frozenset(webhook.api_key.scopes), external_id=None)
        delivery.body = body if body != payload else None
        story = stories[delivery.pk]
        for number, (status, at, took) in enumerate(
            zip(story.statuses, story.starts, story.times, strict=True), 1
        ):
            target = target_of(webhook, at)
            headers = target.request_headers(
                event_type=delivery.type,
                message_id=delivery.event.public_id,
                delivery=str(delivery.pk),
                sequence=delivery.sequence,
                body=body.encode(),
            )
            shown = sender.framing(webhook.url, body.encode()) | target.shown(headers)
            attempts.append(_attempt(delivery, number, status, at, took, shown))
    sender.close()
    return attempts


def _attempt(
    delivery: Delivery, number: int, status: int | None, at: datetime, took: float, headers: dict[str, str]
) -> Attempt:
    failure = _failure(status)
    is_new = number > 1 or delivery.pk % 4 == 0  # else over a connection that was kept alive
    return Attempt(
        delivery=delivery,
        number=number,
        started_at=at,
        address=_ADDRESS,
        request_headers=headers,
        status=status,
        response_headers={} if status is None else {"Content-Type": "application/json", "Server": "ZGS"},
        response_body="" if status is None else _ANSWERS[status],
        error_code=failure.code if failure else "",
        error=failure.words if failure else "",
        dns_ms=round(took / 30, 1) if is_new else None,
        connect_ms=round(took / 9, 1) if is_new else None,
        tls_ms=round(took / 4, 1) if is_new else None,
        first_byte_ms=None if status is None else round(took / 2, 1),
        total_ms=took,
    )


def _count(
    webhook: Webhook, deliveries: Sequence[Delivery], stories: dict[int, _Story], now: datetime
) -> None:
    """Adds the attempts of the last day to the webhook's counters."""
    since = now - HOURS * HOUR
    answers: defaultdict[datetime, list[Answered]] = defaultdict(list)
    gave_up: Counter[datetime] = Counter()
    for delivery in deliveries:
        story = stories.get(delivery.pk)
        if story is None:
            continue
        for status, at, took in zip(story.statuses, story.starts, story.times, strict=True):
            if at >= since:
                answers[quarter_of(at)].append(Answered(webhook.pk, status == 200, took / 1000))
        if delivery.state == DeliveryState.FAILED and story.starts[-1] >= since:
            gave_up[quarter_of(story.starts[-1])] += 1
    for quarter, each in sorted(answers.items()):
        count(each, {webhook.pk: gave_up[quarter]} if gave_up[quarter] else {}, quarter)
