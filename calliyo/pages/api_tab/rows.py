"""What a page of the list of keys shows, in a fixed number of queries."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apikeys.models import APIKey
from apikeys.usage import hourly_calls
from calliyo.pages.api_tab import sparkline
from calliyo.pages.api_tab.forms import end_in_words
from calliyo.pages.api_tab.health import State, gravest, key_state, webhook_state
from calliyo.pages.wording import Brief, brief
from webhooks.models import Webhook

SEARCH_FROM = 10
PAGE = 50


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
    requests: str
    spark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """A page of the keys found: its rows, how many there are in all, and whether a search is worth its place.

    `first` and `last` are the places of its rows among all; `before` and `after` the pages beside it, if any.
    """

    rows: list[KeyRow]
    total: int
    number: int
    first: int
    last: int
    before: int | None
    after: int | None

    @property
    def can_search(self) -> bool:
        return self.total > SEARCH_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the list somebody is: what he searched for, and the page, or else the key that he comes from."""

    search: str = ""
    page: int = 1
    key_id: int | None = None


def key_list(place: Place) -> KeyList:
    """The keys whose name holds `place.search` or whose token starts with it (all for an empty one), by name."""
    found = list(_found(place.search))  # a company has hundreds at most: cheaper than to ask for them twice
    ids = [key.pk for key in found]
    number = ids.index(place.key_id) // PAGE + 1 if place.key_id in ids else place.page
    number = min(max(number, 1), max(1, math.ceil(len(ids) / PAGE)))
    first = (number - 1) * PAGE
    keys = found[first : first + PAGE]
    now = timezone.now()
    states = _webhook_states(keys, now)
    hours = hourly_calls([key.pk for key in keys], now)
    rows = [_row(key, states[key.pk], hours[key.pk], now) for key in keys]
    return KeyList(
        rows=rows,
        total=len(ids),
        number=number,
        first=first + 1,
        last=first + len(rows),
        before=number - 1 if number > 1 else None,
        after=number + 1 if first + PAGE < len(ids) else None,
    )


def requests_in_words(calls: int) -> str:
    """How many requests, for the row and the drawer's head."""
    return ngettext("%(count)s request", "%(count)s requests", calls) % {"count": f"{calls:,}"}


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


def _row(key: APIKey, states: list[State], hours: list[int], now: datetime) -> KeyRow:
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
        requests=requests_in_words(sum(hours)),
        spark=sparkline.path(hours),
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
