"""`/settings?tab=…`: chooses the tab, and what the address opens over it."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.gzip import gzip_page

from apikeys.models import APIKey
from calliyo.ids import read_id
from calliyo.pages.access import AdminRequest, api_tab_address, settings_view
from calliyo.pages.api_tab.confirmations import (
    create_dialog,
    delete_dialog,
    duplicate_dialog,
    regenerate_dialog,
    rename_dialog,
)
from calliyo.pages.api_tab.deliveries import log_from_address
from calliyo.pages.api_tab.drawer import scopes_panel
from calliyo.pages.api_tab.page import Overlay, api_page
from calliyo.pages.api_tab.usage import usage_panel
from calliyo.pages.api_tab.webhook_cards import panel_from_address, webhooks_panel
from calliyo.pages.tabs import TABS
from leads.models import User


# Of 200 keys the page is 300 kB of markup that repeats itself.
@gzip_page
@settings_view
def settings_page(request: AdminRequest) -> HttpResponse:
    """A tab of the Settings; an address that names none, or one that is not there, leads to the API tab."""
    if request.GET.get("tab") not in TABS:
        return redirect(api_tab_address())
    return api_page(request, _overlay(request))


def _overlay(request: AdminRequest) -> Overlay | None:
    """What the address opens: `new=`, or `key=` with `confirm=` or `panel=`."""
    if "new" in request.GET:
        return create_dialog(request.user, request.GET["new"])
    number = read_id(request.GET.get("key", ""))
    if number is None:
        return None
    key = APIKey.objects.get(pk=number)
    return _dialog(request.user, key, request.GET.get("confirm", "")) or _panel(request, key)


def _dialog(user: User, key: APIKey, name: str) -> Overlay | None:
    match name:
        case "regenerate":
            return regenerate_dialog(user, key)
        case "duplicate":
            return duplicate_dialog(user, key)
        case "rename":
            return rename_dialog(key)
        case "delete":
            return delete_dialog(key)
    return None


def _panel(request: AdminRequest, key: APIKey) -> Overlay:
    match request.GET.get("panel"):
        case "usage":
            return usage_panel(key)
        case "webhooks":
            log = log_from_address(request, key)
            return log or webhooks_panel(request, key, panel_from_address(request.GET, key))
    return scopes_panel(key)
