"""Replay: a new delivery of an event that happened before, with the same `webhook-id` and a number of its own.

First choose, then count, then do. Deliveries are queued in batches, each a transaction of its own: the endpoint's
row is locked no longer than the engine can wait. So don't call `replay` within a transaction of many others.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Count as Number
from django.db.models import Exists, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat
from django.utils.translation import gettext

from apikeys.audit import record as audit
from calliyo.errors import DomainError
from calliyo.publisher import poke_webhooks
from calliyo.unit_of_work import unit_of_work
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.clock import database_now
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.feed.place import uid_of
from webhooks.missed import missed_events, subscribed_events
from webhooks.models import Delivery, DeliveryCause, DeliveryState, EndpointState, Event, ResendCause, Webhook
from webhooks.validation import missing_scope

BATCH: Final = 1000


class WebhookIsOff(DomainError):
    """Nothing is queued for a webhook that is off."""

    code = "webhook_off"


class NothingToReplay(DomainError):
    """What was named is not there, is no longer kept, or is on its way already."""

    code = "nothing_to_replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The events to send again to `webhook`; `what` names them in the audit.

    `gone`: how many deliveries were meant whose events are no longer kept. `since`: what it was chosen by.
    """

    webhook: Webhook
    what: str
    events: QuerySet[Event]
    gone: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many events a choice would queue now, and how many not: out of the key's scopes, or no longer kept."""

    events: int
    out_of_scope: int
    gone: int


def one_event(webhook: Webhook, public_id: str) -> Choice:
    """The event with this id (`evt_…`); raises `NothingToReplay` and `MissingEventScope`."""
    uid = uid_of(public_id)
    events = Event.objects.filter(uid=uid) if uid else Event.objects.none()
    event_type = events.values_list("type", flat=True).first()
    if event_type is None:
        raise NothingToReplay(
            gettext("There is no event %(id)r, or it is no longer kept.") % {"id": public_id},
            field="event_id",
        )
    _check_scopes(webhook, [event_type])
    choice = Choice(webhook=webhook, what="event", events=events)
    if not count(choice).events:
        raise NothingToReplay(gettext("%(id)s is on its way already.") % {"id": public_id}, field="event_id")
    return choice


def deliveries(webhook: Webhook, ids: Collection[int]) -> Choice:
    """The events of these deliveries; raises `NothingToReplay` and `MissingEventScope` for any of them."""
    chosen = Delivery.objects.filter(webhook_id=webhook.pk, pk__in=ids)
    found = dict(chosen.values_list("pk", "event_id"))
    if missing := sorted(set(ids) - set(found)):
        raise NothingToReplay(
            gettext("This webhook has no delivery %(id)d.") % {"id": missing[0]}, field="deliveries"
        )
    events = Event.objects.filter(pk__in=set(found.values()))
    types = dict(events.values_list("pk", "type"))
    if gone := sorted(pk for pk, event in found.items() if event not in types):
        raise NothingToReplay(
            gettext("The event of delivery %(id)d is no longer kept.") % {"id": gone[0]}, field="deliveries"
        )
    _check_scopes(webhook, types.values())
    return Choice(webhook=webhook, what="deliveries", events=events)


def failed(webhook: Webhook, *, since: datetime | None = None, up_to: int | None = None) -> Choice:
    """What has failed (since then), and was not sent again with success, or is on its way.

    `up_to`: of the deliveries that there were up to this one, so that what fails again is not chosen again.
    """
    later = Delivery.objects.filter(
        webhook_id=webhook.pk,
        event_id=OuterRef("event_id"),
        pk__gt=OuterRef("pk"),
        state__in=[DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.FAILED],
    )
    ended = Delivery.objects.filter(~Exists(later), webhook_id=webhook.pk, state=DeliveryState.FAILED)
    if since is not None:
        ended = ended.filter(finished_at__gte=since)
    if up_to is not None:
        ended = ended.filter(pk__lte=up_to)
    ended = ended.order_by()
    gone = ended.filter(~Exists(Event.objects.filter(pk=OuterRef("event_id")))).count()
    events = Event.objects.filter(pk__in=ended.values("event_id"))
    return Choice(webhook=webhook, what=ResendCause.FAILED, events=events, gone=gone, since=since)


def everything_since(webhook: Webhook, since: datetime) -> Choice:
    """All that it subscribes to since then, whatever came of it: for a receiver who has lost it."""
    events = subscribed_events(webhook).filter(created_at__gte=since)
    return Choice(webhook=webhook, what=ResendCause.SINCE, events=events, since=since)


def missed(webhook: Webhook) -> Choice:
    """What happened while it was off."""
    return Choice(webhook=webhook, what=ResendCause.MISSED, events=missed_events(webhook))


def count(choice: Choice) -> Count:
    """What `replay` would queue now."""
    give_positions()
    waiting = Delivery.objects.filter(webhook_id=choice.webhook.pk, state=DeliveryState.WAITING)
    # Taken away afterwards: "not among those that wait" is a comparison of each with each where a great many wait.
    on_their_way = _by_type(choice.events.filter(pk__in=waiting.order_by().values("event_id")))
    by_type = _by_type(choice.events) - on_their_way
    events = sum(by_type[allowed] for allowed in _allowed(choice.webhook))
    return Count(events=events, out_of_scope=by_type.total() - events, gone=choice.gone)


def replay(choice: Choice) -> int:
    """Queues them in the order of the log and says how many; those out of the key's scopes are left out.

    For a few, and for a process of its own: many take long (`webhooks.resending`). Raises `WebhookIsOff`.
    """
    give_positions()
    ids = [pk for pk, _ in in_order(choice)]
    note(choice, len(ids))
    batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
    return sum(queue(choice.webhook.pk, batch) for batch in batches)


def in_order(choice: Choice) -> QuerySet[Event, tuple[int, int | None]]:
    """Id and position of each event that would be queued now, in the order of the log."""
    events = _not_waiting(choice.events, choice.webhook.pk).filter(
        type__in=_allowed(choice.webhook), position__isnull=False
    )
    return events.order_by("position").values_list("pk", "position")


@unit_of_work
def note(choice: Choice, events: int) -> None:
    """Writes into the audit what is about to be queued; raises `WebhookIsOff`."""
    if not Webhook.objects.filter(pk=choice.webhook.pk, active=True).exists():
        raise _is_off()
    key = choice.webhook.api_key
    audit(key=key, action="webhook.replayed", webhook_id=choice.webhook.pk, what=choice.what, events=events)


@unit_of_work
def queue(webhook_id: int, event_ids: Collection[int]) -> int:
    """Queues one batch under the locks of the webhook (nobody turns it off meanwhile) and of its endpoint."""
    on = Webhook.objects.filter(pk=webhook_id, active=True)
    if not on.select_for_update(no_key=True).values_list("pk"):
        raise _is_off()
    EndpointState.objects.get_or_create(webhook_id=webhook_id)
    # What was queued before has lower numbers, also where the engine has not come to it yet.
    state = EndpointState.objects.select_for_update(no_key=True).get(webhook_id=webhook_id)
    number_deliveries([webhook_id])
    state.refresh_from_db(fields=["last_sequence"])
    # Locked, so that pruning, which has looked for waiting deliveries before, does not take them now.
    events = _not_waiting(Event.objects.filter(pk__in=event_ids), webhook_id).order_by("position")
    chosen = list(events.select_for_update(no_key=True, of=("self",)).values_list("pk", "type", "lead_id"))
    now = database_now()
    Delivery.objects.bulk_create(
        Delivery(
            webhook_id=webhook_id,
            event_id=pk,
            type=event_type,
            lead_id=lead_id,
            cause=DeliveryCause.REPLAY,
            sequence=sequence,
            created_at=now,
            next_attempt_at=now,
        )
        for sequence, (pk, event_type, lead_id) in enumerate(chosen, start=state.last_sequence + 1)
    )
    EndpointState.objects.filter(pk=webhook_id).update(last_sequence=state.last_sequence + len(chosen))
    # Lost? The engine's sweep finds the rows.
    transaction.on_commit(lambda: poke_webhooks([webhook_id]), robust=True)
    return len(chosen)


def _not_waiting(events: QuerySet[Event], webhook_id: int) -> QuerySet[Event]:
    """Those that no delivery to the webhook waits with, each looked up by the event.

    PostgreSQL believes that next to nothing waits, and would compare each event with all that do: so the state is
    disguised from the indexes of what waits, and the look-up is one that is never made a join.
    """
    waiting = Delivery.objects.alias(now=Concat("state", Value(""))).filter(
        webhook_id=webhook_id, event_id=OuterRef("pk"), now=DeliveryState.WAITING
    )
    on_its_way = Subquery(waiting.order_by().values("pk")[:1])
    return events.alias(on_its_way=on_its_way).filter(on_its_way=None)


def _by_type(events: QuerySet[Event]) -> Counter[str]:
    return Counter(dict(events.order_by().values("type").values_list("type", Number("pk"))))


def _allowed(webhook: Webhook) -> list[str]:
    scopes = set(webhook.api_key.scopes)
    return [event.value for event in EventType if needed_scope(event) in scopes]


def _check_scopes(webhook: Webhook, types: Iterable[str]) -> None:
    if hidden := sorted(set(types) - set(_allowed(webhook))):
        raise missing_scope(EventType(hidden[0]))


def _is_off() -> WebhookIsOff:
    return WebhookIsOff(gettext("This webhook is off: turn it on first."))
