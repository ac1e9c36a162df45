"""Housekeeping of deliveries, in batches that never lock a table for long. Safe to run twice, or two at once."""

import time
from collections.abc import Iterator

from django.db.models import F

from webhooks.deleting import delete_deliveries
from webhooks.delivery.clock import database_now
from webhooks.models import Delivery, DeliveryState, Webhook

BATCH = 1000
LONGEST = 50.0
"""Seconds for one call; the next one goes on."""


def delete_leftovers(*, longest: float = LONGEST) -> int:
    """Deletes the deliveries, with their attempts, of webhooks that are no more; says how many."""
    until = time.monotonic() + longest
    deleted = 0
    for webhook_id in _webhooks_with_deliveries():
        if Webhook.objects.filter(pk=webhook_id).exists():
            continue
        while time.monotonic() < until:
            count = _delete_batch(webhook_id)
            deleted += count
            if count < BATCH:
                break
    return deleted


def mark_missed() -> int:
    """Ends what still waits for webhooks that are off: queued while they were being turned off."""
    off = Webhook.objects.filter(active=False).values_list("pk", flat=True)
    return sum(
        Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING).update(
            state=DeliveryState.MISSED, finished_at=database_now(), next_attempt_at=None
        )
        for webhook_id in off
    )


def forget_previous_secrets() -> int:
    """Removes secrets that no longer sign: their rotation's overlap is over."""
    over = Webhook.objects.filter(previous_secret_until__lte=database_now())
    return over.update(previous_secret="", previous_secret_until=None, version=F("version") + 1)


def _webhooks_with_deliveries() -> Iterator[int]:
    """Each webhook id that deliveries name, by hops through the index: no scan of a table of millions."""
    last = 0
    while True:
        following = Delivery.objects.filter(webhook_id__gt=last).order_by("webhook_id", "id")
        found = following.values_list("webhook_id", flat=True).first()
        if found is None:
            return
        yield found
        last = found


def _delete_batch(webhook_id: int) -> int:
    ids = list(
        Delivery.objects.filter(webhook_id=webhook_id).order_by("id").values_list("pk", flat=True)[:BATCH]
    )
    delete_deliveries(ids)
    return len(ids)
