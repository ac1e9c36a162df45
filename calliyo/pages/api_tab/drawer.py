"""What Configure shows: the head of the drawer and its Scopes panel. The Webhooks panel is in `webhook_cards`."""

from collections.abc import Collection

from django.utils import timezone

from apikeys.models import APIKey
from calliyo.pages.api_tab import scope_table
from calliyo.pages.api_tab.forms import ScopesForm
from calliyo.pages.api_tab.health import key_state
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.api_tab.rows import expiry


def drawer(key: APIKey, panel: str, **context: object) -> Overlay:
    """The drawer of a key, with the context of one of its panels."""
    now = timezone.now()
    head = {"key": key, "panel": panel, "state": key_state(key, now), "ends": expiry(key, now)}
    return Overlay(template="drawer.html", context=head | context)


def scopes_panel(
    key: APIKey, ticked: Collection[str] | None = None, form: ScopesForm | None = None, notice: str = ""
) -> Overlay:
    """Scopes: what is saved, or what was ticked in a form that was not saved, with the reason."""
    scopes = key.scopes if ticked is None else ticked
    words = scope_table.words(key, scopes)
    return drawer(
        key,
        "scopes",
        lines=scope_table.lines(scopes),
        words=words,
        form=form,
        notice=notice,
        version=key.version,
    )
