"""Deliveries of a webhook: the list and what is open in it, its live part, and what is sent again."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.gzip import gzip_page

from apikeys.models import APIKey
from calliyo.errors import DomainError
from calliyo.ids import read_id, read_ids
from calliyo.pages.access import AdminRequest, form_target, settings_view
from calliyo.pages.api_tab.day import days_of
from calliyo.pages.api_tab.delivery_detail import delivery_shown
from calliyo.pages.api_tab.delivery_list import (
    address_of,
    delivery_list,
    filters_from,
    query_of,
    webhook_of_log,
)
from calliyo.pages.api_tab.drawer import drawer
from calliyo.pages.api_tab.forms import ON_A_DATE, PlainForm
from calliyo.pages.api_tab.health import webhook_state
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.viewer import in_viewers_zone
from calliyo.pages.wording import exact
from webhooks import replay, resending
from webhooks.models import Webhook

MOST_AT_ONCE: Final = 200
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPANS: Final = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}


class SinceForm(PlainForm):
    """Since when what failed is to be sent again; `moment()` once it is valid."""

    since = forms.ChoiceField(
        label=_("Everything that failed"),
        choices=[
            ("1h", _("in the last hour")),
            ("24h", _("in the last 24 hours")),
            ("7d", _("in the last 7 days")),
            ("ever", _("since deliveries are kept")),
            (ON_A_DATE, _("since a date…")),
        ],
    )
    since_at = forms.DateTimeField(
        label=_("Since"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        error_messages={"invalid": _("Write the time as in 2026-11-25 14:30.")},
    )

    def clean(self) -> dict[str, object]:
        """Asks for the date where one was to be chosen."""
        data = super().clean() or {}
        if data.get("since") == ON_A_DATE and not data.get("since_at") and "since_at" not in self.errors:
            self.add_error("since_at", _("Choose the time since which it failed."))
        return data

    def clean_since_at(self) -> datetime | None:
        """Refuses a time that is none everywhere on earth: the first hours of the year 1."""
        at: datetime | None = self.cleaned_data["since_at"]
        try:
            return at and at.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError(_("Choose a later time.")) from error

    def moment(self, now: datetime) -> datetime:
        """The time that was chosen."""
        choice = self.cleaned_data["since"]
        if choice == ON_A_DATE:
            at: datetime = self.cleaned_data["since_at"]
            return at
        return now - _SPANS[choice] if choice in _SPANS else _EVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """“Resend everything that failed since …”: first since when, then how many that are."""

    form: SinceForm
    failed: resending.Failed | None
    since: str

    @property
    def number(self) -> str:
        """How many events, as people read it."""
        return f"{self.failed.count.events:,}" if self.failed else ""


def log_from_address(request: AdminRequest, key: APIKey) -> Overlay | None:
    """The list with what the address opens in it: `delivery=12`, or `do=resend`. None where it means no list."""
    query = request.GET
    wanted = read_id(query.get("webhook", ""))
    if query.get("do") not in {"deliveries", "resend"} or wanted is None:
        return None
    if not Webhook.objects.filter(pk=wanted, api_key=key).exists():
        return None
    with in_viewers_zone(request):
        return _log(webhook_of_log(wanted), query)


@gzip_page
@settings_view
def live_deliveries(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """The list as it is now, for the page's script; 204 where it is still as `mark` says."""
    with in_viewers_zone(request):
        log = delivery_list(webhook_of_log(webhook_id), request.GET)
        if log.mark == request.GET.get("mark"):
            return HttpResponse(status=204)
        return render(request, "pages/api/_delivery_list.html", {"log": log})


@form_target
def resend_deliveries(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Queues the events of the chosen deliveries again."""
    webhook = webhook_of_log(webhook_id)
    chosen = read_ids(request.POST.getlist("delivery"))
    if not chosen:
        messages.warning(request, gettext("Nothing was sent: select at least one delivery."))
    elif len(chosen) > MOST_AT_ONCE:
        messages.warning(
            request, gettext("Nothing was sent: select at most %(most)d.") % {"most": MOST_AT_ONCE}
        )
    else:
        try:
            _say_queued(request, replay.replay(replay.deliveries(webhook, chosen)))
        except DomainError as error:
            messages.error(request, error.detail)
    return redirect(_back(request, webhook))


@form_target
def resend_failed(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Queues what failed since a moment: what was counted, and nothing that failed after that."""
    webhook = webhook_of_log(webhook_id)
    try:
        since = datetime.fromisoformat(request.POST.get("since", "")).astimezone(UTC)
        last = read_id(request.POST.get("up_to", "")) or 0
        events = resending.resend_failed(webhook, since=since, up_to=last)
        _say_queued(request, events)
    except (ValueError, OverflowError):
        messages.error(request, gettext("Nothing was sent: choose since when."))
    except DomainError as error:
        messages.error(request, error.detail)
    return redirect(address_of(webhook))


def _log(webhook: Webhook, query: QueryDict) -> Overlay:
    now = timezone.now()
    context: dict[str, object] = {
        "webhook": webhook,
        "webhook_state": webhook_state(webhook, webhook.api_key, webhook.health, now),  # type: ignore[attr-defined]  # annotated
        "log_address": address_of(webhook),
        "part": "log",
    }
    if "delivery" in query:
        return drawer(
            webhook.api_key, "webhooks", **context, shown=delivery_shown(webhook, query, _kept(query))
        )
    context |= {"log": delivery_list(webhook, query), "day": days_of([webhook.pk], now)[webhook.pk]}
    if query.get("do") == "resend":
        context["question"] = _question(webhook, query, now)
    return drawer(webhook.api_key, "webhooks", **context)


def _question(webhook: Webhook, query: QueryDict, now: datetime) -> Question:
    form = SinceForm(query if "since" in query else None, initial={"since": "24h"})
    if not form.is_valid():
        return Question(form=form, failed=None, since="")
    since = form.moment(now)
    said = "" if since == _EVER else exact(since)
    return Question(form=form, failed=resending.what_failed(webhook, since), since=said)


def _kept(query: QueryDict) -> str:
    """The part of an address that says which part of the list was left."""
    kept = QueryDict(mutable=True)
    for name in ("event", "outcome", "lead", "before"):
        if value := query.get(name, ""):
            kept[name] = value
    return kept.urlencode()


def _back(request: AdminRequest, webhook: Webhook) -> str:
    """The list as it was filtered; what was queued stands on its first page."""
    return address_of(webhook, **query_of(filters_from(QueryDict(request.POST.get("list", "")))))


def _say_queued(request: AdminRequest, count: int) -> None:
    if not count:
        messages.warning(request, gettext("Nothing was queued: it is on its way already."))
        return
    text = ngettext("%(count)s delivery is queued.", "%(count)s deliveries are queued.", count)
    messages.success(request, text % {"count": f"{count:,}"})
