"""What Configure shows: the head of the drawer and its Scopes panel. The Webhooks panel is in `webhook_cards`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from apikeys.models import APIKey
from apikeys.scopes import Scope
from apikeys.usage import hourly_calls
from calliyo.pages.api_tab import scope_table
from calliyo.pages.api_tab.audit import AuditLine
from calliyo.pages.api_tab.config_form import ConfigForm, limits_in_words
from calliyo.pages.api_tab.health import key_state
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.api_tab.rows import expiry, requests_in_words
from calliyo.pages.api_tab.scope_use import uses


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSaved:
    """Why a form was not saved, and what others changed meanwhile."""

    why: str
    changes: Sequence[AuditLine] = field(default_factory=list)


def drawer(key: APIKey, panel: str, **context: object) -> Overlay:
    """The drawer of a key, with the context of one of its panels."""
    now = timezone.now()
    head = {
        "key": key,
        "panel": panel,
        "state": key_state(key, now),
        "ends": expiry(key, now),
        "requests": requests_in_words(sum(hourly_calls([key.pk], now)[key.pk])),
    }
    return Overlay(template="drawer.html", context=head | context)


def scopes_panel(key: APIKey, form: ConfigForm | None = None, not_saved: NotSaved | None = None) -> Overlay:
    """Scopes: what is saved, or what was ticked and typed in a form that was not saved, with the reason."""
    form = form or ConfigForm(key=key)
    scopes = [scope for scope in Scope if scope in (form["scopes"].value() or ())]
    return drawer(
        key,
        "scopes",
        lines=scope_table.lines(scopes, uses(key, timezone.now())),
        words=scope_table.words(key, scopes),
        limits=limits_in_words(key),
        config=form,
        not_saved=not_saved,
    )
