"""When each ticked scope was last used, and whether it is worth its tick."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.utils.formats import date_format
from django.utils.timezone import localdate
from django.utils.translation import gettext

from apikeys.models import APIKey, AuditEntry
from apikeys.scopes import Scope
from apikeys.usage import last_days_of_use
from webhooks.catalogue import needed_scope
from webhooks.models import Webhook

IDLE: Final = timedelta(days=30)
# What reading or writing leads also needs, though no call of its own shows it: names and campaigns beside a lead,
# new tags on it.
_ALONG_WITH: Final[Mapping[Scope, tuple[str, str]]] = {
    Scope.USERS_READ: ("leads", "read"),
    Scope.CAMPAIGNS_READ: ("leads", "read"),
    Scope.TAGS_WRITE: ("leads", "write"),
}
_FEED: Final = ("events", "read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """`words` say when; `is_idle`: nobody would miss the scope, as far as can be seen."""

    words: str
    is_idle: bool = False


def uses(key: APIKey, now: datetime) -> dict[str, Use]:
    """The use of each of the key's scopes, in three queries."""
    days, today = last_days_of_use(key), localdate(now)
    heard = {
        needed_scope(event) for webhook in Webhook.objects.filter(api_key=key) for event in webhook.events
    }
    fresh = _granted_since(key, now - IDLE)
    return {scope: _use(Scope(scope), days, today, heard, fresh) for scope in key.scopes}


def _use(
    scope: Scope,
    days: Mapping[tuple[str, str], date],
    today: date,
    heard: Collection[str],
    fresh: Collection[str],
) -> Use:
    resource, _, access = scope.partition(":")
    last = days.get((resource, access))
    if last is not None and today - last < IDLE:
        return Use(words=_day(last, today))
    if scope in heard:
        return Use(words=gettext("for its webhooks"))
    for call in (_ALONG_WITH.get(scope), _FEED):
        along = days.get(call) if call else None
        if along is not None and today - along < IDLE:
            return Use(words=gettext("no call of its own"))
    if scope in fresh:
        return Use(words=gettext("not used yet"))
    if last is not None:
        return Use(words=gettext("not since %(day)s") % {"day": _day(last, today)}, is_idle=True)
    return Use(words=gettext("never used"), is_idle=True)


def _granted_since(key: APIKey, since: datetime) -> set[str]:
    """The scopes that the key has had for less time than it takes to call them idle."""
    if key.created_at > since:
        return set(key.scopes)
    changes = AuditEntry.objects.filter(
        api_key_id=key.pk, action="api_key.scopes_changed", at__gte=since
    ).values_list("data", flat=True)
    return {scope for data in changes for scope in set(data["scopes"]["to"]) - set(data["scopes"]["from"])}


def _day(day: date, today: date) -> str:
    if day >= today:
        return gettext("today")
    if day == today - timedelta(days=1):
        return gettext("yesterday")
    return date_format(day, "j M" if day.year == today.year else "j M Y")
