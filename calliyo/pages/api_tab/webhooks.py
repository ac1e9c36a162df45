"""The Webhooks panel's targets: add, edit, turn on and off, delete, show the secret, send a test event."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apikeys.models import APIKey
from apikeys.operations import set_scopes
from apikeys.scopes import in_order
from calliyo.errors import DomainError
from calliyo.pages import form_numbers
from calliyo.pages.access import AdminRequest, api_tab_address, form_target, may_act_on, typed_form_target
from calliyo.pages.api_tab.exchange import exchange
from calliyo.pages.api_tab.forms import add_domain_error
from calliyo.pages.api_tab.page import api_page
from calliyo.pages.api_tab.versions import ChangedMeanwhile, last_change, locked_key, locked_webhook
from calliyo.pages.api_tab.webhook_cards import Open, webhooks_panel
from calliyo.pages.api_tab.webhook_changes import Merged, merged
from calliyo.pages.api_tab.webhook_form import WebhookForm
from calliyo.pages.wording import listed, titled
from calliyo.unit_of_work import unit_of_work
from leads.models import User
from webhooks import operations, replay, resending
from webhooks.catalogue import EventType
from webhooks.models import Webhook

_TESTS: Final = BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


@typed_form_target
def add_webhook(request: AdminRequest, key_id: int) -> HttpResponse:
    """Subscribes the key; a generated secret is shown in this answer."""
    key = APIKey.objects.get(pk=key_id)
    form = WebhookForm(request.POST, key=key)
    if not may_act_on(form, request):
        return _form_again(request, key, None, form)
    try:
        webhook = _add(
            user=request.user, number=request.POST.get("form_number", ""), key_id=key_id, form=form
        )
    except form_numbers.FormAlreadyUsed as used:
        messages.warning(request, used.detail)
        return redirect(_panel(key))
    except DomainError as error:
        add_domain_error(form, error)
        return _form_again(request, key, None, form)
    return _saved(request, key, webhook, form)


@typed_form_target
def edit_webhook(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Saves the form, unless it was made from another version."""
    webhook = _the_webhook(webhook_id)
    key = webhook.api_key
    form = WebhookForm(request.POST, key=key, webhook=webhook)
    if not may_act_on(form, request):
        return _form_again(request, key, webhook, form)
    number = request.POST.get("form_number", "")
    try:
        webhook = _edit(user=request.user, number=number, webhook_id=webhook_id, form=form)
    except form_numbers.FormAlreadyUsed as used:
        messages.warning(request, used.detail)
        return redirect(_panel(key))
    except ChangedMeanwhile:
        webhook.refresh_from_db()
        return _changed_meanwhile(request, webhook, merged(request.POST, form.typed(), webhook))
    except DomainError as error:
        add_domain_error(form, error)
        return _form_again(request, key, webhook, form)
    return _saved(request, key, webhook, form)


@form_target
def turn_webhook_on(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Queues events for it again, from now on."""
    webhook = operations.turn_on(webhook=_the_webhook(webhook_id))
    messages.success(request, gettext("%(url)s is on: new events go out.") % {"url": webhook.url})
    # What it was not told meanwhile is offered there, with the number first.
    return redirect(f"{_panel(webhook.api_key)}&webhook={webhook.pk}&do=missed")


@form_target
def send_missed(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Queues what happened while it was off; pressed twice, nothing is queued twice."""
    webhook = _the_webhook(webhook_id)
    try:
        choice = replay.missed(webhook)
        queued = resending.resend(
            choice, events=replay.count(choice).events, longest=resending.LONGEST_AT_ONCE
        )
    except DomainError as error:
        return _shown(request, webhook.api_key, Open(notice=error.detail))
    queued_in_words = ngettext(
        "%(count)s missed event is queued.", "%(count)s missed events are queued.", queued
    )
    messages.success(request, queued_in_words % {"count": f"{queued:,}"})
    return redirect(_panel(webhook.api_key))


@form_target
def turn_webhook_off(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Queues nothing more for it; what waits is missed."""
    webhook = operations.turn_off(webhook=_the_webhook(webhook_id))
    messages.success(request, gettext("%(url)s is off: no event is sent to it.") % {"url": webhook.url})
    return redirect(_panel(webhook.api_key))


@form_target
def delete_webhook(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Deletes it at once, with what waits for it."""
    webhook = _the_webhook(webhook_id)
    operations.delete_webhook(webhook=webhook)
    messages.success(request, gettext("The webhook to %(url)s is deleted.") % {"url": webhook.url})
    return redirect(_panel(webhook.api_key))


@form_target
def show_secret(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """The secret, in this answer alone."""
    webhook = _the_webhook(webhook_id)
    try:
        secret = operations.reveal_secret(webhook) or ""
    except DomainError as error:
        return _shown(request, webhook.api_key, Open(notice=error.detail))
    return _shown(request, webhook.api_key, Open(webhook_id=webhook.pk, secret=secret))


@form_target
def send_test_event(request: AdminRequest, webhook_id: int) -> HttpResponse:
    """Sends one signed sample now, and shows the request and the answer as they were: a part for the page's script."""
    webhook = _the_webhook(webhook_id)
    event = request.POST.get("event", "")
    event_type = EventType(event if event in webhook.events else webhook.events[0])
    try:
        with _one_of_few():
            sent = operations.run_test_event(webhook=webhook, event_type=event_type)
    except DomainError as error:
        return _not_tested(request, webhook, error.detail)
    seen = exchange(webhook.url, event_type, sent)
    if request.htmx:
        return render(request, "pages/api/_exchange.html", {"exchange": seen})
    return _shown(request, webhook.api_key, Open(webhook_id=webhook.pk, exchange=seen))


class TooManyTests(DomainError):
    """Test events wait for strangers' servers; most of the web server's threads are for others."""

    code = "too_many_tests"


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _TESTS.acquire(blocking=False):
        raise TooManyTests(gettext("Others are sending test events right now. Try again in some seconds."))
    try:
        yield
    finally:
        _TESTS.release()


def _not_tested(request: AdminRequest, webhook: Webhook, why: str) -> HttpResponse:
    if request.htmx:
        return render(request, "pages/api/_exchange.html", {"refusal": why})
    return _shown(request, webhook.api_key, Open(notice=why))


@unit_of_work
def _add(*, user: User, number: str, key_id: int, form: WebhookForm) -> Webhook:
    form_numbers.spend(number, user)
    key = _with_scopes(locked_key(key_id), form)
    return operations.subscribe(api_key=key, secret=form.new_secret(), **form.changes())


@unit_of_work
def _edit(*, user: User, number: str, webhook_id: int, form: WebhookForm) -> Webhook:
    form_numbers.spend(number, user)
    _with_scopes(locked_key(form.key.pk), form)
    webhook = locked_webhook(webhook_id, form.cleaned_data["version"] or 0)
    secret = form.new_secret()
    if form.keeps_secret():
        return operations.change_webhook(webhook=webhook, **form.changes())
    if secret is None or not webhook.secret:
        return operations.change_webhook(webhook=webhook, secret=secret, **form.changes())
    # The receiver needs time to learn the new one: until then the old one signs too.
    return operations.rotate_secret(
        webhook=operations.change_webhook(webhook=webhook, **form.changes()), secret=secret
    )


def _with_scopes(key: APIKey, form: WebhookForm) -> APIKey:
    """The key, with the scopes that were ticked along with the events that need them."""
    granted = form.granted(key)
    return set_scopes(key=key, scopes=in_order([*key.scopes, *granted])) if granted else key


def _the_webhook(webhook_id: int) -> Webhook:
    return Webhook.objects.select_related("api_key").get(pk=webhook_id)


def _saved(request: AdminRequest, key: APIKey, webhook: Webhook, form: WebhookForm) -> HttpResponse:
    messages.success(request, gettext("Saved"))
    if granted := form.granted(form.key):
        text = ngettext(
            "The key has the scope %(scopes)s now.", "The key has the scopes %(scopes)s now.", len(granted)
        )
        told = listed([titled(scope) for scope in granted], gettext("and"))
        messages.success(request, text % {"scopes": told})
    if form.generates_secret():
        return _shown(
            request, key, Open(webhook_id=webhook.pk, secret=operations.reveal_secret(webhook) or "")
        )
    return redirect(_panel(key))


def _shown(request: AdminRequest, key: APIKey, now_open: Open) -> HttpResponse:
    return api_page(request, webhooks_panel(request, key, now_open))


def _form_again(
    request: AdminRequest, key: APIKey, webhook: Webhook | None, form: WebhookForm, notice: str = ""
) -> HttpResponse:
    return _shown(request, key, Open(webhook_id=webhook.pk if webhook else None, form=form, notice=notice))


def _changed_meanwhile(request: AdminRequest, webhook: Webhook, both: Merged) -> HttpResponse:
    """The form with both changes in it; saved again, it replaces only what was told."""
    form = WebhookForm(both.data, key=webhook.api_key, webhook=webhook)
    who = last_change(webhook.api_key, timezone.now())
    notice = gettext("Not saved yet: this webhook was changed since you opened it (%(who)s).") % {"who": who}
    return _shown(
        request, webhook.api_key, Open(webhook_id=webhook.pk, form=form, notice=notice, told=both.told)
    )


def _panel(key: APIKey) -> str:
    return f"{api_tab_address()}&key={key.pk}&panel=webhooks"
