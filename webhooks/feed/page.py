"""One page of the log as one key may see it.

Events are read by their positions, which are given after the commit: who has passed a position has passed everything
before it. What the key may not see is passed over in windows, so that a page costs the same however much of it lies
in between.
"""

import time
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, NamedTuple

from leads.models.external_id import ExternalId
from webhooks.body import LEADS_READ, body_for
from webhooks.catalogue import CATALOGUE, EventType
from webhooks.delivery.sequence import give_positions, latest_position
from webhooks.feed.place import Place, UnknownPlace, expired, place_of
from webhooks.models import Event, PrunedLog

LATEST: Final = "latest"
WINDOW: Final = 10_000
"""Positions that one statement looks through."""
LONGEST: Final = 0.25
"""Seconds of looking; then the page is as it is, and says that there is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads, and what he may see: the events whose scope he has, those of his leads' ids that are his own."""

    key_id: int
    scopes: AbstractSet[str]

    def may_see(self, event_type: EventType) -> bool:
        return CATALOGUE[event_type].scope in self.scopes

    @property
    def types(self) -> frozenset[EventType]:
        """The types of events that he may see."""
        return frozenset(event_type for event_type in EventType if self.may_see(event_type))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Bodies in compact JSON, in the order of the log. `more`: there is something behind `place` already."""

    bodies: list[str]
    place: Place
    more: bool


class _Row(NamedTuple):
    position: int
    lead_id: int
    payload: str


def first_page(reader: Reader, *, after: str | None, types: Collection[EventType], limit: int) -> FeedPage:
    """The page behind `after`; None: from the oldest event that is kept. Raises `UnknownPlace`, `CursorExpired`."""
    give_positions()
    if after == LATEST:
        return FeedPage(bodies=[], place=Place(latest_position()), more=False)
    if after is None:
        return _page(reader, _oldest(), types, limit)
    return page_behind(reader, place_of(after), types=types, limit=limit)


def page_behind(reader: Reader, place: Place, *, types: Collection[EventType], limit: int) -> FeedPage:
    """The page behind `place`; raises `CursorExpired`."""
    page = _page(reader, place, types, limit)
    # Asked after the page was read: if nothing behind the place is gone now, nothing was gone then.
    if place.is_behind(_pruned()):
        raise expired()
    return page


def bodies_for(reader: Reader, events: Collection[tuple[int, str]]) -> list[str]:
    """Leads' ids and whole payloads as the bodies that the reader may see."""
    own_ids: dict[int, str] = {}
    if events and LEADS_READ in reader.scopes:
        mine = ExternalId.objects.filter(api_key_id=reader.key_id, lead_id__in={lead for lead, _ in events})
        own_ids = dict(mine.values_list("lead_id", "value"))
    return [
        body_for(payload, scopes=reader.scopes, external_id=own_ids.get(lead)) for lead, payload in events
    ]


def _pruned() -> int:
    return PrunedLog.objects.values_list("position", flat=True).first() or 0


def _oldest() -> Place:
    pruned = _pruned()
    # Not from 0: years of pruned positions would be looked through.
    oldest = (
        Event.objects.exclude(position=None).order_by("position").values_list("position", flat=True).first()
    )
    return Place(max(0, (oldest or 1) - 1), pruned)


def _page(reader: Reader, place: Place, types: Collection[EventType], limit: int) -> FeedPage:
    end = latest_position()
    if place.position > end:
        raise UnknownPlace("This place lies behind the end of the log: it is of another one.")
    rows, at = _look(place.position, end, types, limit)
    return FeedPage(
        bodies=bodies_for(reader, [(row.lead_id, row.payload) for row in rows]),
        place=Place(at, place.forgiven),
        more=at < end,
    )


def _look(at: int, end: int, types: Collection[EventType], limit: int) -> tuple[list[_Row], int]:
    """Up to `limit` events of these types behind `at`, and how far the log was looked through."""
    found: list[_Row] = []
    until = time.monotonic() + LONGEST
    while at < end and time.monotonic() < until:
        edge = min(at + WINDOW, end)
        window = Event.objects.filter(position__gt=at, position__lte=edge, type__in=types).order_by(
            "position"
        )
        rows = window.values_list("position", "lead_id", "payload")[: limit + 1 - len(found)]
        found += [_Row(position or 0, lead_id, payload) for position, lead_id, payload in rows]
        if len(found) > limit:
            return found[:limit], found[limit - 1].position
        at = edge
    return found, at
