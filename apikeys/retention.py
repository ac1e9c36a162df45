"""How long what is known of calls is kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from apikeys.models import KeyUsage, RecentCalls, RefusedCall
from apikeys.usage import quarter_of

USAGE_KEPT: Final = timedelta(days=400)
"""A year, and the same month of the year before."""
REFUSED_KEPT: Final = timedelta(days=90)
RECENT_KEPT: Final = timedelta(days=2)
BATCH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedUsage:
    """How many rows went (or would go)."""

    usage: int
    refused_calls: int


def prune_usage(*, dry_run: bool = False) -> PrunedUsage:
    """Forgets, in batches, what is older than it is kept."""
    now = timezone.now()
    usage = KeyUsage.objects.filter(day__lt=(now - USAGE_KEPT).date()).order_by("day")
    refused = RefusedCall.objects.filter(at__lt=now - REFUSED_KEPT).order_by("at")
    recent = RecentCalls.objects.filter(quarter__lt=quarter_of(now - RECENT_KEPT)).order_by("quarter")
    if dry_run:
        return PrunedUsage(usage=usage.count(), refused_calls=refused.count())
    _prune(recent)  # told nowhere: each of these calls is in `usage` too
    return PrunedUsage(usage=_prune(usage), refused_calls=_prune(refused))


def _prune(rows: "QuerySet[Any]") -> int:
    pruned = 0
    while True:
        batch = list(rows.values_list("pk", flat=True)[:BATCH])
        deleted, _ = rows.model._default_manager.filter(pk__in=batch).delete()
        pruned += int(deleted)
        if len(batch) < BATCH:
            return pruned
