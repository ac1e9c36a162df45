"""When and from where a key was used last: noted at most once a minute."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import OperationalError
from django.db.models import Q
from django.utils import timezone

from apikeys.models import APIKey
from calliyo.api.addresses import Address

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=1)


def is_due(key: APIKey, now: datetime) -> bool:
    """Whether a use at `now` is to be noted, as far as `key` as it was read tells."""
    return key.last_used_at is None or key.last_used_at <= now - EVERY


def note_use(key: APIKey, address: Address | None) -> None:
    """At most one write a minute, whoever comes first: a busy key must not turn its reads into writes."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - EVERY)
    told = str(address) if address else None
    try:
        APIKey.objects.filter(stale, pk=key.pk).update(last_used_at=now, last_used_address=told)
    except OperationalError as error:
        # A database that only reads now, or is locked for long, still answers what was asked.
        log.warning("authentication.use_not_noted", error=str(error))
