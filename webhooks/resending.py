"""Everything that failed since some moment, sent again: the number first, then the order, then the work.

A few are queued at once. Many are an order in the database, carried out in batches, each a transaction of its own: for
some seconds by whoever ordered it, then by housekeeping, which also goes on where a process has died.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q
from django.utils.translation import gettext

from calliyo.errors import DomainError
from calliyo.unit_of_work import unit_of_work
from webhooks import replay
from webhooks.delivery.clock import database_now
from webhooks.models import Delivery, ResendOrder, Webhook

AT_ONCE: Final = replay.BATCH
LONGEST_AT_ONCE: Final = 2.0
"""Seconds that a person waits for; housekeeping goes on with the rest."""
LONGEST: Final = 50.0
"""Seconds for one round of housekeeping."""
_LEASE: Final = timedelta(seconds=30)
"""Longer than any batch: a worker that is silent for so long has died."""


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


def resend_failed(webhook: Webhook, *, since: datetime, up_to: int) -> int:
    """Sends it again: how many events are queued now, or will be. Raises `WebhookIsOff`, `AlreadyResending`."""
    choice = replay.failed(webhook, since=since, up_to=up_to)
    events = replay.count(choice).events
    if events <= AT_ONCE:
        return replay.replay(choice)
    order = _order(choice, since=since, up_to=up_to, events=events)
    carry_on([order.pk], longest=LONGEST_AT_ONCE)
    return events


def running_order(webhook_id: int) -> ResendOrder | None:
    """The order that is not carried out yet, if there is one."""
    return ResendOrder.objects.filter(webhook_id=webhook_id).first()


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
def _order(choice: replay.Choice, *, since: datetime, up_to: int, events: int) -> ResendOrder:
    webhook = Webhook.objects.select_for_update(no_key=True).get(pk=choice.webhook.pk)
    if ResendOrder.objects.filter(webhook=webhook).exists():
        raise AlreadyResending(
            gettext("What failed is being sent again already; wait until all of it is queued.")
        )
    replay.note(choice, events)
    return ResendOrder.objects.create(
        webhook=webhook, since=since, up_to=up_to, events=events, ordered_at=database_now()
    )


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
        for batch in replay.queue_in_batches(replay.failed(webhook, since=order.since, up_to=order.up_to)):
            queued += batch
            mine.update(queued=F("queued") + batch, worked_on_until=database_now() + _LEASE)
            if time.monotonic() >= until:
                mine.update(worked_on_until=None)
                return queued
    except replay.WebhookIsOff:
        pass  # turned off meanwhile: the rest stays failed, and is found again when it is on
    mine.delete()
    return queued
