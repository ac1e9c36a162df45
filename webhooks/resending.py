"""Many events sent again: the number first, then the order, then the work.

A few are queued at once, in one transaction. Many are an order in the database, carried out in batches, each a
transaction of its own that also says how far the order has come: by a worker, which is told at once, and by
housekeeping, which goes on where a process has died. So nothing is queued twice, and nothing forgotten.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Max, Q
from django.utils.translation import gettext

from calliyo.errors import DomainError
from calliyo.publisher import poke_orders
from calliyo.unit_of_work import unit_of_work
from webhooks import replay
from webhooks.delivery.clock import database_now
from webhooks.models import Delivery, Event, ResendCause, ResendOrder, Webhook

AT_ONCE: Final = replay.BATCH
LONGEST_AT_ONCE: Final = 2.0
"""Seconds that a person waits for; a worker goes on with the rest."""
LONGEST_IN_TASK: Final = 5.0
"""Seconds for one task: pokes wait behind it, and the order is handed on to the next one."""
LONGEST: Final = 50.0
"""Seconds for one round of housekeeping."""
LOOKED_UP: Final = 50
"""Batches whose events are looked up in one statement."""
_LEASE: Final = timedelta(seconds=30)
"""Longer than any batch: a worker that is silent for so long has died."""
_BULK: Final = frozenset(ResendCause.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """What failed at `since` or later, up to the delivery `up_to`, and how many events of it can be sent again."""

    since: datetime
    up_to: int
    count: replay.Count


class AlreadyResending(DomainError):
    """An order is being carried out; another one would only do the same."""

    code = "already_resending"


def what_failed(webhook: Webhook, since: datetime) -> Failed:
    """The number that a person is shown before anything is sent."""
    newest = Delivery.objects.filter(webhook_id=webhook.pk).order_by("-pk").values_list("pk", flat=True)
    up_to = newest.first() or 0
    count = replay.count(replay.failed(webhook, since=since, up_to=up_to))
    return Failed(since=since, up_to=up_to, count=count)


def resend(choice: replay.Choice, *, events: int, up_to: int | None = None, longest: float = 0.0) -> int:
    """Sends it again: how many events are queued now, or will be. `events`: what was counted just now.

    `up_to`: of what failed, the last delivery that was there when it was counted; now, unless said.
    `longest`: for so many seconds this call itself works on what is too much to be done at once. Raises `WebhookIsOff`,
    and `AlreadyResending` where many are asked for while others are still on their way into the queue.
    """
    if events <= AT_ONCE or choice.what not in _BULK:
        return replay.replay(choice)
    order = _order(choice, up_to=_newest(choice) if up_to is None else up_to, events=events)
    if longest:
        carry_on([order.pk], longest=longest)
    return events


def resend_failed(webhook: Webhook, *, since: datetime, up_to: int) -> int:
    """As `resend`, of what `what_failed` has counted; for a person, who waits a moment to see it begin."""
    choice = replay.failed(webhook, since=since, up_to=up_to)
    return resend(choice, events=replay.count(choice).events, up_to=up_to, longest=LONGEST_AT_ONCE)


def running_order(webhook_id: int) -> ResendOrder | None:
    """The order that is not carried out yet, if there is one."""
    return ResendOrder.objects.filter(webhook_id=webhook_id).first()


def carry_on_as_task(order_ids: Iterable[int]) -> None:
    """Carries out these orders for some seconds, and hands what is left of them to the next task."""
    ids = list(order_ids)
    carry_on(ids, longest=LONGEST_IN_TASK)
    poke_orders(ResendOrder.objects.filter(pk__in=ids, worked_on_until=None).values_list("pk", flat=True))


def carry_on(order_ids: Iterable[int] | None = None, *, longest: float = LONGEST) -> int:
    """Carries out these orders, or all that nobody works on, for so many seconds; how many events it queued."""
    until = time.monotonic() + longest
    wanted = ResendOrder.objects.all() if order_ids is None else ResendOrder.objects.filter(pk__in=order_ids)
    queued = 0
    for order_id in wanted.order_by("pk").values_list("pk", flat=True):
        if time.monotonic() < until and _taken(order_id):
            queued += _carry_out(ResendOrder.objects.get(pk=order_id), until)
    return queued


@unit_of_work
def _order(choice: replay.Choice, *, up_to: int, events: int) -> ResendOrder:
    webhook = Webhook.objects.select_for_update(no_key=True).get(pk=choice.webhook.pk)
    if ResendOrder.objects.filter(webhook=webhook).exists():
        raise AlreadyResending(
            gettext("Events are being sent again already; wait until all of them are queued.")
        )
    replay.note(choice, events)
    order = ResendOrder.objects.create(
        webhook=webhook,
        what=choice.what,
        since=choice.since,
        up_to=up_to,
        events=events,
        ordered_at=database_now(),
    )
    # Lost? Housekeeping finds the order.
    transaction.on_commit(lambda: poke_orders([order.pk]), robust=True)
    return order


def _newest(choice: replay.Choice) -> int:
    """Up to where there was something when it was ordered: what comes later goes out by itself."""
    if choice.what == ResendCause.FAILED:
        newest = Delivery.objects.filter(webhook_id=choice.webhook.pk).order_by("-pk")
        return newest.values_list("pk", flat=True).first() or 0
    return Event.objects.aggregate(newest=Max("position"))["newest"] or 0


def _ordered(order: ResendOrder, webhook: Webhook) -> replay.Choice:
    """What is left of the order."""
    if order.what == ResendCause.FAILED:
        choice = replay.failed(webhook, since=order.since, up_to=order.up_to)
    elif order.what == ResendCause.MISSED or order.since is None:
        choice = replay.missed(webhook)
    else:
        choice = replay.everything_since(webhook, order.since)
    left = choice.events.filter(position__gt=order.after)
    if order.what != ResendCause.FAILED:
        left = left.filter(position__lte=order.up_to)
    return replace(choice, events=left)


def _taken(order_id: int) -> bool:
    """Whether this call is the one that works on it."""
    now = database_now()
    idle = ResendOrder.objects.filter(Q(worked_on_until=None) | Q(worked_on_until__lt=now), pk=order_id)
    return bool(idle.update(worked_on_until=now + _LEASE))


def _carry_out(order: ResendOrder, until: float) -> int:
    webhook = Webhook.objects.select_related("api_key").get(pk=order.webhook_id)
    mine = ResendOrder.objects.filter(pk=order.pk)
    queued = 0
    try:
        while found := list(replay.in_order(_ordered(order, webhook))[: LOOKED_UP * replay.BATCH]):
            for start in range(0, len(found), replay.BATCH):
                batch = found[start : start + replay.BATCH]
                queued += _queue(order, batch)
                if time.monotonic() >= until:
                    mine.update(worked_on_until=None)
                    return queued
    except replay.WebhookIsOff:
        pass  # turned off meanwhile: the rest is found again when it is on
    mine.delete()
    return queued


@unit_of_work
def _queue(order: ResendOrder, batch: list[tuple[int, int | None]]) -> int:
    """A batch of ids and positions; and how far the order has come, in the same transaction."""
    queued = replay.queue(order.webhook_id, [pk for pk, _ in batch])
    order.after = batch[-1][1] or 0
    ResendOrder.objects.filter(pk=order.pk).update(
        queued=F("queued") + queued, after=order.after, worked_on_until=database_now() + _LEASE
    )
    return queued
