"""The API tab itself: the list of keys, and over it at most one dialog or drawer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from calliyo.ids import read_id
from calliyo.pages.access import PANELS, AdminRequest, api_tab_address
from calliyo.pages.api_tab.audit import AuditPage, audit_page
from calliyo.pages.api_tab.rows import KeyList, Place, key_list
from calliyo.pages.api_tab.starts import STARTS, Start
from calliyo.pages.tabs import TABS
from calliyo.pages.viewer import in_viewers_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What lies over the list: a template in `pages/api/`, and what it needs."""

    template: str
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPage:
    """What the tab's own templates need, under the name `page`.

    `list` is the address of this page of the list, without anything over it; `panel` is the drawer's panel that a
    dialog was opened from, empty for the list.
    """

    keys: KeyList
    search: str
    list: str
    panel: str
    audit: AuditPage
    starts: tuple[Start, ...]


def api_page(request: AdminRequest, overlay: Overlay | None = None) -> HttpResponse:
    """The whole page, with `overlay` open over the list.

    A refused form is a 200 too, as everywhere in Django: browsers report other answers as faults of the page.
    """
    panel = request.POST.get("panel") or request.GET.get("panel", "")
    place = _place(request)
    keys = key_list(place)
    page = ApiPage(
        keys=keys,
        search=place.search,
        list=_address(place.search, keys.number),
        panel=panel if panel in PANELS else "",
        audit=audit_page(_number(request, "before")),
        starts=tuple(STARTS.values()),
    )
    context: dict[str, object] = {
        "title": gettext("Settings"),
        "tabs": TABS,
        "current_tab": TABS["api"],
        "page": page,
    }
    if overlay:
        context |= {"overlay": f"pages/api/{overlay.template}", **overlay.context}
    with in_viewers_zone(request):
        return render(request, "pages/api/tab.html", context)


def _place(request: AdminRequest) -> Place:
    """Where in the list the address is: `q=` with `page=`; `at=` for the page that a key is on."""
    return Place(
        search=request.GET.get("q", "").replace("\x00", "").strip()[:100],
        page=_number(request, "page") or 1,
        key_id=_number(request, "at") or _number(request, "key"),
    )


def _address(search: str, number: int) -> str:
    """This page of the list, to come back to from what is opened over it."""
    asked = ({"q": search} if search else {}) | ({"page": str(number)} if number > 1 else {})
    return f"{api_tab_address()}{'&' if asked else ''}{urlencode(asked)}"


def _number(request: AdminRequest, name: str) -> int | None:
    return read_id(request.GET.get(name, ""))
