"""What the list of keys shows, read in two queries whatever its length."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from apikeys.models import APIKey
from calliyo.pages.api_tab.forms import end_in_words
from calliyo.pages.api_tab.health import State, gravest, key_state, webhook_state
from calliyo.pages.wording import Brief, brief
from webhooks.models import Webhook

SEARCH_FROM = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key in the list. `health` is the gravest of its webhooks', None without any."""

    id: int
    name: str
    prefix: str
    active: bool
    state: State
    ends: str
    can: Brief
    webhooks: int
    health: State | None
    last_used_at: datetime | None
    last_used_address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """The rows found, and whether a search is worth its place."""

    rows: list[KeyRow]
    can_search: bool


def key_list(search: str) -> KeyList:
    """The keys whose name holds `search` or whose token starts with it; all keys for an empty one."""
    keys = list(_found(search))
    now = timezone.now()
    states = _webhook_states(keys, now)
    rows = [_row(key, states[key.pk], now) for key in keys]
    return KeyList(rows=rows, can_search=bool(search) or len(rows) > SEARCH_FROM)


def _found(search: str) -> QuerySet[APIKey]:
    if not search:
        return APIKey.objects.all()
    return APIKey.objects.filter(Q(name__icontains=search) | Q(prefix__startswith=search[:13]))


def _webhook_states(keys: Iterable[APIKey], now: datetime) -> dict[int, list[State]]:
    by_id = {key.pk: key for key in keys}
    states = defaultdict(list)
    for webhook in Webhook.objects.filter(api_key__in=by_id).annotate(health=F("state__health")):
        key = by_id[webhook.api_key_id]
        states[key.pk].append(webhook_state(webhook, key, webhook.health, now))
    return states


def _row(key: APIKey, states: list[State], now: datetime) -> KeyRow:
    return KeyRow(
        id=key.pk,
        name=key.name,
        prefix=key.prefix,
        active=key.active,
        state=key_state(key, now),
        ends=expiry(key, now),
        can=brief(key.scopes),
        webhooks=len(states),
        health=gravest(states),
        last_used_at=key.last_used_at,
        last_used_address=key.last_used_address,
    )


def expiry(key: APIKey, now: datetime) -> str:
    """When the key ends or ended, in words; nothing for one that does not."""
    if key.expires_at is None:
        return ""
    told = {"moment": end_in_words(key.expires_at)}
    if timezone.localtime(key.expires_at).time() != time.min:
        return (gettext("expired %(moment)s") if key.expired(now) else gettext("expires %(moment)s")) % told
    return (
        gettext("ended with %(moment)s") if key.expired(now) else gettext("works through %(moment)s")
    ) % told
