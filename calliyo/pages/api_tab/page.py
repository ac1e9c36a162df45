"""The API tab itself: the list of keys, and over it at most one dialog or drawer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from calliyo.pages.access import PANELS, AdminRequest, api_tab_address
from calliyo.pages.api_tab.audit import AuditPage, audit_page
from calliyo.pages.api_tab.rows import KeyList, key_list
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

    `panel` is the drawer's panel that a dialog was opened from, empty for the list.
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
    before = request.GET.get("before", "")
    panel = request.POST.get("panel") or request.GET.get("panel", "")
    search = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    page = ApiPage(
        keys=key_list(search),
        search=search,
        list=api_tab_address(),
        panel=panel if panel in PANELS else "",
        audit=audit_page(int(before) if before.isdecimal() and len(before) < 19 else None),
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
