"""What the frame around every page asks for: its navigation, and moments that can be read at a glance."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django import template
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_noop

from calliyo.pages.access import is_company_admin
from calliyo.pages.wording import exact, spoken
from leads.models import Campaign, Customer, FollowUp, Lead

register = template.Library()

# What staff work with all day.
_PLACES: tuple[tuple[str, type[Model]], ...] = (
    (gettext_noop("Leads"), Lead),
    (gettext_noop("Customers"), Customer),
    (gettext_noop("Follow-ups"), FollowUp),
    (gettext_noop("Campaigns"), Campaign),
)

_BEFORE_A_PART = re.compile(r"(?<=[^/:])(?=[/?&#].)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of the main navigation."""

    label: str
    url: str
    is_current: bool


@register.simple_tag(takes_context=True)
def main_nav(context: Context) -> list[Entry]:
    """The links that the user may follow; the current one is marked."""
    request: HttpRequest = context["request"]
    return list(_entries(request))


@register.simple_tag
def when(moment: datetime | None) -> str | SafeString:
    """A moment in words, with the exact time on hover and for scripts; nothing for no moment."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact(moment),
        spoken(moment, timezone.now()),
    )


@register.filter
def thousands(number: int) -> str:
    """A number as people read it: 1,204."""
    return f"{number:,}"


@register.filter
def breakable(url: str) -> SafeString:
    """A URL that goes to the next line before a part of its path, not within a word."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in _BEFORE_A_PART.split(url)))


def _entries(request: HttpRequest) -> Iterator[Entry]:
    for label, model in _PLACES:
        if admin.site.is_registered(model) and request.user.has_perm(f"leads.view_{model._meta.model_name}"):
            yield _entry(request, gettext(label), reverse(f"admin:leads_{model._meta.model_name}_changelist"))
    if is_company_admin(request.user):
        yield _entry(request, gettext("Settings"), reverse("pages:settings"))


def _entry(request: HttpRequest, label: str, url: str) -> Entry:
    return Entry(label=label, url=url, is_current=request.path.startswith(url))
