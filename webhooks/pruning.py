"""Retention: events and deliveries that are older than the company keeps, in batches of short transactions.

An event that a delivery still waits for stays, and so does the newest one: positions only grow. How far the log was
pruned is kept, for readers who come from before.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from calliyo.models import Company
from webhooks.deleting import delete_deliveries, delete_events
from webhooks.delivery.clock import database_now
from webhooks.delivery.sentences import Sentence
from webhooks.delivery.sequence import give_positions, latest_position
from webhooks.models import Delivery, DeliveryState, Event, PrunedLog

log = structlog.get_logger(__name__)

BATCH: Final = 1000
LONGEST: Final = 300.0
"""Seconds for one call of the task; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was pruned (or would be). `missed`: waited longer than the retention; `kept`: old, but waited for."""

    events: int
    deliveries: int
    missed: int
    kept: int


class _Old(NamedTuple):
    created_at: datetime
    pk: int
    position: int
    uid: UUID


def retention() -> timedelta:
    """How long the company keeps events and deliveries."""
    return timedelta(days=Company.current().retention_days)


def prune(*, older_than: timedelta | None = None, longest: float | None = None) -> Pruned:
    """Prunes what is older than that (None: than the retention), for `longest` seconds; safe to run twice at once."""
    until = None if longest is None else time.monotonic() + longest
    now, kept_for = database_now(), retention()
    before = now - (kept_for if older_than is None else older_than)
    give_positions()
    missed = _Work(until).repeat(lambda: _end_waiting(now - kept_for))
    deliveries = _prune_deliveries(before, _Work(until))
    events, kept = _prune_events(before, _Work(until))
    log.info("log.pruned", events=events, deliveries=deliveries, missed=missed, kept=kept)
    return Pruned(events=events, deliveries=deliveries, missed=missed, kept=kept)


def would_prune(*, older_than: timedelta | None = None) -> Pruned:
    """What `prune` would do now."""
    now, kept_for = database_now(), retention()
    before = now - (kept_for if older_than is None else older_than)
    give_positions()
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
    missed = waiting.filter(created_at__lt=now - kept_for).count()
    waited_for = waiting.filter(created_at__gte=now - kept_for).order_by().values("event_id")
    old = Event.objects.filter(created_at__lt=before).exclude(position=latest_position())
    kept = old.filter(pk__in=waited_for).count()
    deliveries = Delivery.objects.filter(finished_at__lt=before).count()
    return Pruned(events=old.count() - kept, deliveries=deliveries, missed=missed, kept=kept)


class _Work:
    """Batch after batch, until there is nothing left or the time is over."""

    def __init__(self, until: float | None) -> None:
        self._until = until

    def may_go_on(self) -> bool:
        return self._until is None or time.monotonic() < self._until

    def repeat(self, batch: Callable[[], int]) -> int:
        """Calls `batch` until it did nothing; the sum of what it did."""
        total = 0
        while self.may_go_on() and (done := batch()):
            total += done
        return total


def _end_waiting(before: datetime) -> int:
    """Ends a batch of deliveries that have waited since before then, and announces them."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING, created_at__lt=before)
    found = dict(waiting.order_by().values_list("pk", "webhook_id")[:BATCH])
    with transaction.atomic():
        locked = waiting.filter(pk__in=found).order_by("pk").select_for_update(no_key=True)
        ended = list(locked.values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ended).update(
            state=DeliveryState.MISSED,
            finished_at=database_now(),
            next_attempt_at=None,
            last_error=Sentence.OUTLIVED.told(),
        )
    for webhook_id, count in sorted(Counter(found[pk] for pk in ended).items()):
        log.warning(
            "deliveries.missed", webhook=webhook_id, count=count, waited_since_before=before.isoformat()
        )
    return len(ended)


def _prune_deliveries(before: datetime, work: _Work) -> int:
    """Goes by the primary key, which follows the time: the oldest are at its beginning, and no index more is needed."""
    pruned = last = 0
    while work.may_go_on():
        rows = Delivery.objects.filter(pk__gt=last).order_by("pk")
        batch = list(rows.values_list("pk", "created_at", "finished_at")[:BATCH])
        if not any(created_at < before for _, created_at, _ in batch):
            break
        ids = [pk for pk, _, finished_at in batch if finished_at is not None and finished_at < before]
        last = batch[-1][0]
        delete_deliveries(ids)
        pruned += len(ids)
    return pruned


def _prune_events(before: datetime, work: _Work) -> tuple[int, int]:
    pruned = kept = 0
    last: _Old | None = None
    while work.may_go_on():
        with transaction.atomic():
            batch = _old_events(before, last)
            gone = _not_waited_for(batch)
            if gone:
                _remember(gone)
                delete_events([event.pk for event in gone])
        if not batch:
            break
        last = batch[-1]
        pruned, kept = pruned + len(gone), kept + len(batch) - len(gone)
    return pruned, kept


def _old_events(before: datetime, last: _Old | None) -> list[_Old]:
    """The next batch, locked, so that nobody queues deliveries of it now; what is locked already is passed over."""
    old = Event.objects.filter(created_at__lt=before, position__lt=latest_position())
    if last is not None:
        old = old.filter(
            Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, pk__gt=last.pk),
            created_at__gte=last.created_at,
        )
    rows = old.order_by("created_at", "pk").select_for_update(skip_locked=True)
    columns = rows.values_list("created_at", "pk", "position", "uid")
    return [_Old(created_at, pk, position or 0, uid) for created_at, pk, position, uid in columns[:BATCH]]


def _not_waited_for(events: list[_Old]) -> list[_Old]:
    waiting = Delivery.objects.filter(
        event_id__in=[event.pk for event in events], state=DeliveryState.WAITING
    )
    waited_for = set(waiting.values_list("event_id", flat=True))
    return [event for event in events if event.pk not in waited_for]


def _remember(gone: list[_Old]) -> None:
    """Moves the mark, in the transaction that deletes them."""
    PrunedLog.objects.get_or_create(pk=PrunedLog.ONLY_ID)
    mark = PrunedLog.objects.select_for_update().get(pk=PrunedLog.ONLY_ID)
    last = max(gone, key=lambda event: event.position)
    if last.position > mark.position:
        mark.position, mark.uid = last.position, last.uid
    mark.highest_uid = max(uid for uid in (mark.highest_uid, *(event.uid for event in gone)) if uid)
    mark.save()
