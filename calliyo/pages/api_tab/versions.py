"""Two admins at once: a form names the version that it was made from, and a save on another one is refused."""

from datetime import datetime

from django.utils.translation import gettext

from apikeys.models import APIKey, AuditEntry
from calliyo.errors import DomainError
from calliyo.pages.wording import spoken
from webhooks.models import Webhook


class ChangedMeanwhile(DomainError):
    """Somebody else saved first; nothing was overwritten."""

    code = "changed_meanwhile"


def locked_key(key_id: int, version: int | None = None) -> APIKey:
    """The key, locked until the unit of work ends. Raises ChangedMeanwhile where it is at another version."""
    key = APIKey.objects.select_for_update(no_key=True).get(pk=key_id)
    if version is not None and key.version != version:
        raise ChangedMeanwhile(gettext("Nothing was changed: somebody changed this key since you opened it."))
    return key


def locked_webhook(webhook_id: int, version: int) -> Webhook:
    """As `locked_key`, for a webhook."""
    webhook = Webhook.objects.select_for_update(no_key=True).get(pk=webhook_id)
    if webhook.version != version:
        raise ChangedMeanwhile(
            gettext("Nothing was changed: somebody changed this webhook since you opened it.")
        )
    return webhook


def last_change(key: APIKey, now: datetime) -> str:
    """Who changed the key or its webhooks last, and when, for the person who came second."""
    entry = AuditEntry.objects.filter(api_key_id=key.pk).first()
    if entry is None:
        return ""
    return gettext("%(name)s, %(when)s") % {
        "name": entry.actor_name or entry.actor_type,
        "when": spoken(entry.at, now),
    }
