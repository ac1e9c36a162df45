"""Housekeeping of deliveries, in batches that never lock a table for long. Safe to run twice, or two at once."""

import time
from collections.abc import Iterator

from django.db import transaction
from django.db.models import QuerySet

from webhooks.deleting import delete_deliveries
from webhooks.delivery.clock import database_now
from webhooks.models import Delivery, DeliveryState, Webhook
from webhooks.rotation import earlier_secrets, keep

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
    """Removes secrets that no longer sign: their rotation's overlap is over. Says of how many webhooks."""
    return sum(_forgotten(pk) for pk in list(_rotated().values_list("pk", flat=True)))


@transaction.atomic
def _forgotten(webhook_id: int) -> bool:
    webhook = _rotated().filter(pk=webhook_id).select_for_update(no_key=True).first()
    if webhook is None:
        return False
    sign_still = earlier_secrets(webhook, database_now())
    if len(sign_still) == len(webhook.previous_secrets):
        return False
    keep(webhook, sign_still)
    webhook.version += 1
    webhook.save(update_fields=["previous_secrets", "previous_secret_until", "version"])
    return True


def _rotated() -> QuerySet[Webhook]:
    return Webhook.objects.exclude(previous_secret_until=None).order_by("pk")


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
