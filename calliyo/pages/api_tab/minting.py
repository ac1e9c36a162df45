"""The forms' targets that mint a token: create, duplicate, regenerate. It is in that one answer, and nowhere else."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext

from apikeys import operations
from apikeys.models import APIKey
from apikeys.operations import MintedKey
from apikeys.scopes import in_order
from calliyo.errors import DomainError
from calliyo.ids import read_id, read_ids
from calliyo.pages import form_numbers
from calliyo.pages.access import AdminRequest, api_tab_address, form_target, may_act_on, typed_form_target
from calliyo.pages.api_tab.confirmations import create_dialog, duplicate_dialog, made_by_key
from calliyo.pages.api_tab.forms import DuplicateForm, KeyForm, add_domain_error
from calliyo.pages.api_tab.page import Overlay, api_page
from calliyo.pages.api_tab.versions import locked_key
from calliyo.unit_of_work import unit_of_work
from leads.models import User
from webhooks.copying import copy_webhooks
from webhooks.models import Webhook
from webhooks.operations import delete_webhook


@typed_form_target
def create_key(request: AdminRequest) -> HttpResponse:
    """Mints a key and shows its token in this answer, the only one that ever holds it."""
    form = KeyForm(request.POST)

    def refused() -> HttpResponse:
        return api_page(request, create_dialog(request.user, request.POST.get("start", ""), form))

    def mint() -> MintedKey:
        return _create(user=request.user, number=request.POST.get("form_number", ""), form=form)

    return _minted(
        request,
        form,
        mint,
        refused,
        headline=gettext("The key is created"),
        advice=gettext(
            "Next: click Configure on the key to tick what it may read and write, and to add webhooks."
        ),
    )


@typed_form_target
def duplicate_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Mints a key that is configured as another one is, and shows its token in this answer alone."""
    key = APIKey.objects.get(pk=key_id)
    form = DuplicateForm(request.POST, kept=key.expires_at)

    def refused() -> HttpResponse:
        return api_page(request, duplicate_dialog(request.user, key, form))

    def mint() -> MintedKey:
        number = request.POST.get("form_number", "")
        return _duplicate(user=request.user, number=number, key_id=key_id, form=form)

    return _minted(
        request,
        form,
        mint,
        refused,
        headline=gettext("The key is duplicated"),
        advice=gettext(
            "It may do what “%(name)s” may. Webhooks that were copied are off: turn them on there."
        )
        % {"name": key.name},
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


def _minted(
    request: AdminRequest,
    form: KeyForm | DuplicateForm,
    mint: Callable[[], MintedKey],
    refused: Callable[[], HttpResponse],
    **words: str,
) -> HttpResponse:
    """The token that `mint` gives, or the form again with what is wrong."""
    if not may_act_on(form, request):
        return refused()
    try:
        minted = mint()
    except form_numbers.FormAlreadyUsed:
        return _already_sent(request)
    except DomainError as error:
        add_domain_error(form, error)
        return refused()
    return _token_shown(request, minted, **words)


@unit_of_work
def _create(*, user: User, number: str, form: KeyForm) -> MintedKey:
    form_numbers.spend(number, user)
    data = form.cleaned_data
    return operations.create_api_key(
        name=data["name"], scopes=in_order(data["scopes"]), expires_at=data["expires_at"]
    )


@unit_of_work
def _duplicate(*, user: User, number: str, key_id: int, form: DuplicateForm) -> MintedKey:
    form_numbers.spend(number, user)
    key, data = locked_key(key_id), form.cleaned_data
    minted = operations.duplicate_key(key=key, name=data["name"], expires_at=data["expires_at"])
    if data["webhooks"]:
        copy_webhooks(source=key, target=minted.key)
    return minted


@unit_of_work
def _regenerate(user: User, key_id: int, sent: QueryDict) -> MintedKey:
    locked_key(key_id)
    form_numbers.spend(sent.get("form_number", ""), user)
    # Somebody else may have regenerated it meanwhile, and handed out the token that this would break.
    key = locked_key(key_id, read_id(sent.get("version", "")) or 0)
    unwanted = read_ids(sent.getlist("remove"))
    for webhook in Webhook.objects.filter(api_key=key, pk__in=unwanted):
        if made_by_key(webhook):
            delete_webhook(webhook=webhook)
    return operations.regenerate_token(key=key)


def _already_sent(request: AdminRequest) -> HttpResponse:
    text = gettext(
        "This form was already sent; nothing was done a second time. A token is shown only once: "
        "if it was not copied, choose Regenerate Token."
    )
    messages.warning(request, text)
    return redirect(api_tab_address())


def _token_shown(request: AdminRequest, minted: MintedKey, *, headline: str, advice: str) -> HttpResponse:
    # Not the bare token: Django logs a template's whole context, as reprs, when debugging is on.
    context = {
        "minted": minted,
        "headline": headline,
        "advice": advice,
        "me_url": f"{settings.BASE_URL}/public/me",
    }
    return api_page(request, Overlay(template="token.html", context=context))
