"""The audit's one pen: who did what to which key, and to the key's webhooks."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from apikeys.models import APIKey, AuditEntry
from calliyo.actor import current_actor


def record(*, key: APIKey, action: str, **data: Any) -> AuditEntry:
    """Writes one line (`api_key.created`, `webhook.changed`), in the running transaction.

    `data` says what changed; it never holds a token, a digest or a secret. Values that are None are left out.
    """
    actor = current_actor()
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_type=actor.type,
        actor_id=actor.id,
        actor_name=actor.name or "",
        request_id=actor.request_id or "",
        api_key_id=key.pk,
        api_key_name=key.name,
        action=action,
        data={name: _said(value) for name, value in data.items() if value is not None},
    )


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return {name: _said(inner) for name, inner in value.items()} if isinstance(value, dict) else value
