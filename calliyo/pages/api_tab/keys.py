"""The forms' targets for a key as a whole: create, regenerate, activate, deactivate, delete."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext

from apikeys import operations
from apikeys.models import APIKey
from apikeys.scopes import in_order
from calliyo.errors import DomainError
from calliyo.pages import form_numbers
from calliyo.pages.access import AdminRequest, api_tab_address, form_target
from calliyo.pages.api_tab.confirmations import create_dialog, delete_dialog
from calliyo.pages.api_tab.forms import DeleteForm, KeyForm, add_domain_error
from calliyo.pages.api_tab.page import Overlay, api_page
from calliyo.pages.api_tab.versions import locked_key
from calliyo.unit_of_work import unit_of_work
from leads.models import User


@form_target
def create_key(request: AdminRequest) -> HttpResponse:
    """Mints a key and shows its token in this answer, the only one that ever holds it."""
    form = KeyForm(request.POST)
    start = request.POST.get("start", "")
    if not form.is_valid():
        return _create_refused(request, form, start)
    try:
        minted = _create(user=request.user, number=request.POST.get("form_number", ""), form=form)
    except form_numbers.FormAlreadyUsed:
        return _already_sent(request)
    except DomainError as error:
        add_domain_error(form, error)
        return _create_refused(request, form, start)
    return _token_shown(
        request,
        minted,
        headline=gettext("The key is created"),
        advice=gettext(
            "Next: click Configure on the key to tick what it may read and write, and to add webhooks."
        ),
    )


@form_target
def regenerate_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Gives the key a new token and shows it in this answer alone."""
    try:
        minted = _regenerate(request.user, key_id, request.POST)
    except form_numbers.FormAlreadyUsed:
        return _already_sent(request)
    except DomainError as error:
        messages.error(request, error.detail)
        return redirect(f"{api_tab_address()}&key={key_id}&confirm=regenerate")
    return _token_shown(
        request,
        minted,
        headline=gettext("The token is regenerated"),
        advice=gettext("The old token no longer works. Give the new one to every system that used it."),
    )


@form_target
def deactivate_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Refuses the key's token from now on; its events wait."""
    key = operations.deactivate_key(key=APIKey.objects.get(pk=key_id))
    text = gettext(
        "“%(name)s” is deactivated: its token is refused. Deliveries are kept until it is active again."
    )
    messages.success(request, text % {"name": key.name})
    return redirect(_back(request, key))


@form_target
def activate_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Accepts the key's token again, and sends what waited."""
    key = operations.activate_key(key=APIKey.objects.get(pk=key_id))
    text = gettext("“%(name)s” is active: its token works, and deliveries that waited go out.")
    messages.success(request, text % {"name": key.name})
    return redirect(_back(request, key))


@form_target
def delete_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Deletes the key whose name was typed."""
    key = APIKey.objects.get(pk=key_id)
    form = DeleteForm(request.POST, key=key)
    if not form.is_valid():
        return api_page(request, delete_dialog(key, form))
    operations.delete_key(key=key)
    messages.success(
        request, gettext("“%(name)s” is deleted. Its token no longer works.") % {"name": key.name}
    )
    return redirect(api_tab_address())


@unit_of_work
def _create(*, user: User, number: str, form: KeyForm) -> operations.MintedKey:
    form_numbers.spend(number, user)
    data = form.cleaned_data
    return operations.create_api_key(
        name=data["name"], scopes=in_order(data["scopes"]), expires_at=data["expires_at"]
    )


@unit_of_work
def _regenerate(user: User, key_id: int, sent: QueryDict) -> operations.MintedKey:
    locked_key(key_id)
    form_numbers.spend(sent.get("form_number", ""), user)
    # Somebody else may have regenerated it meanwhile, and handed out the token that this would break.
    version = sent.get("version", "")
    return operations.regenerate_token(key=locked_key(key_id, int(version) if version.isdecimal() else 0))


def _create_refused(request: AdminRequest, form: KeyForm, start: str) -> HttpResponse:
    return api_page(request, create_dialog(request.user, start, form))


def _already_sent(request: AdminRequest) -> HttpResponse:
    text = gettext(
        "This form was already sent; nothing was done a second time. A token is shown only once: "
        "if it was not copied, choose Regenerate Token."
    )
    messages.warning(request, text)
    return redirect(api_tab_address())


def _token_shown(
    request: AdminRequest, minted: operations.MintedKey, *, headline: str, advice: str
) -> HttpResponse:
    # Not the bare token: Django logs a template's whole context, as reprs, when debugging is on.
    context = {
        "minted": minted,
        "headline": headline,
        "advice": advice,
        "me_url": f"{settings.BASE_URL}/public/me",
    }
    return api_page(request, Overlay(template="token.html", context=context))


def _back(request: AdminRequest, key: APIKey) -> str:
    """Where the button was: in the drawer, or in the key's row."""
    panel = request.POST.get("panel", "")
    if panel in {"scopes", "webhooks"}:
        return f"{api_tab_address()}&key={key.pk}&panel={panel}"
    return f"{api_tab_address()}#key-{key.pk}"
