"""The Scopes table of the product page: a resource a line, Read and Write, a dash where there is no such scope."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from django.utils.translation import gettext

from apikeys.models import APIKey
from apikeys.scopes import RESOURCE_TITLES, Access, Resource, Scope, scope_for
from calliyo.pages.api_tab.health import events_without_scope
from calliyo.pages.api_tab.scope_use import Use
from calliyo.pages.wording import access_title, sentences, stopping, titled
from webhooks.models import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scope as a checkbox."""

    value: Scope
    title: str
    ticked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LineUse:
    """When one of a resource's scopes was last used; `access` where both are ticked, so that one knows which."""

    scope: Scope
    access: str
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One resource; a cell is None where the product has no such scope."""

    title: str
    cells: tuple[Tick | None, ...]
    uses: tuple[LineUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a set of ticks means: what the key can do, and which events stop. `stops_mark` stands for the latter."""

    sentences: Sequence[str]
    stops: Sequence[str]
    stops_mark: str


def lines(ticked: Collection[str], uses: Mapping[str, Use]) -> list[Line]:
    """The table, with `ticked` ticked; `uses` are those of the scopes that the key has."""
    return [_line(resource, ticked, uses) for resource in Resource]


def ticks(offered: Collection[Scope], ticked: Collection[str]) -> list[Tick]:
    """Some scopes as checkboxes."""
    return [Tick(value=scope, title=titled(scope), ticked=scope in ticked) for scope in offered]


def words(key: APIKey, scopes: Collection[str]) -> Words:
    """What `scopes` would mean for this key."""
    stops = []
    for webhook in Webhook.objects.filter(api_key=key):
        already = events_without_scope(webhook.events, key.scopes)
        lost = [event for event in events_without_scope(webhook.events, scopes) if event not in already]
        if lost:
            stops.append(stopping(lost, webhook.url))
    return Words(sentences=sentences(scopes), stops=stops, stops_mark=_mark(stops))


def _line(resource: Resource, ticked: Collection[str], uses: Mapping[str, Use]) -> Line:
    scopes = [scope_for(resource, access) for access in Access]
    used = [scope for scope in scopes if scope in ticked and scope in uses]
    return Line(
        title=gettext(RESOURCE_TITLES[resource]),
        cells=tuple(_tick(scope, ticked) for scope in scopes),
        uses=tuple(
            LineUse(scope=scope, access=access_title(scope) if len(used) > 1 else "", use=uses[scope])
            for scope in used
            if scope is not None
        ),
    )


def _mark(stops: Sequence[str]) -> str:
    """Tells one set of warnings from another: a save accepts only those that were shown."""
    return sha256("\n".join(stops).encode()).hexdigest()[:16] if stops else ""


def _tick(scope: Scope | None, ticked: Collection[str]) -> Tick | None:
    return None if scope is None else Tick(value=scope, title=titled(scope), ticked=scope in ticked)
