"""Everything that is encrypted at rest under the newest field key, so that older keys can be thrown away.

Needs no pause: a row is locked while it is rewritten, and every process opens either key meanwhile.
"""

from dataclasses import dataclass
from typing import Final

import structlog
from django.db import transaction

from webhooks import secrets
from webhooks.models import Webhook
from webhooks.secrets import UndecryptableSecret

log = structlog.get_logger(__name__)

BATCH: Final = 200
ENCRYPTED: Final = ("secret", "previous_secret", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencrypted:
    """How many values there are, how many were (or would be) encrypted anew; webhooks with one that no key opens."""

    values: int
    changed: int
    undecryptable: list[int]


def reencrypt_secrets(*, dry_run: bool = False) -> Reencrypted:
    """Secrets, previous secrets and headers of all webhooks; what no key opens is left as it is. Safe to run twice."""
    values = changed = last = 0
    undecryptable: set[int] = set()
    while True:
        with transaction.atomic():
            rows = Webhook.objects.select_for_update(no_key=True).filter(pk__gt=last)
            batch = list(rows.order_by("pk").only("pk", *ENCRYPTED)[:BATCH])
            rewritten = []
            for webhook in batch:
                found = {name: getattr(webhook, name) for name in ENCRYPTED if getattr(webhook, name)}
                values += len(found)
                fresh = _fresh(webhook.pk, found, undecryptable)
                changed += len(fresh)
                for name, value in fresh.items():
                    setattr(webhook, name, value)
                rewritten += [webhook] if fresh else []
            if rewritten and not dry_run:
                # Nobody outside sees a difference, so neither version nor updated_at moves.
                Webhook.objects.bulk_update(rewritten, ENCRYPTED)
        if not batch:
            break
        last = batch[-1].pk
    log.info("secrets.reencrypted", values=values, changed=changed, dry_run=dry_run)
    return Reencrypted(values=values, changed=changed, undecryptable=sorted(undecryptable))


def _fresh(webhook_id: int, found: dict[str, str], undecryptable: set[int]) -> dict[str, str]:
    """Those of the stored values that are not under the newest key, under it."""
    fresh = {}
    for name, stored in found.items():
        try:
            value = secrets.under_newest_key(stored)
        except UndecryptableSecret:
            undecryptable.add(webhook_id)
            log.error("secrets.undecryptable", webhook=webhook_id, field=name)
            continue
        if value != stored:
            fresh[name] = value
    return fresh
