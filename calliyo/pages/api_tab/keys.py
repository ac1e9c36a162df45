"""The forms' targets for a key as a whole: activate, deactivate, rename, delete. Those that mint are in `minting`."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from apikeys import operations
from apikeys.models import APIKey
from calliyo.errors import DomainError
from calliyo.pages.access import (
    PANELS,
    AdminRequest,
    api_tab_address,
    form_target,
    may_act_on,
    panel_address,
    row_address,
    typed_form_target,
)
from calliyo.pages.api_tab.confirmations import delete_dialog, rename_dialog
from calliyo.pages.api_tab.forms import DeleteForm, RenameForm, add_domain_error
from calliyo.pages.api_tab.page import api_page
from calliyo.pages.api_tab.versions import locked_key
from calliyo.unit_of_work import unit_of_work


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


@typed_form_target
def rename_key(request: AdminRequest, key_id: int) -> HttpResponse:
    """Gives the key another name, unless somebody changed it since the dialog was opened."""
    key = APIKey.objects.get(pk=key_id)
    form = RenameForm(request.POST)
    if not may_act_on(form, request):
        return api_page(request, rename_dialog(key, form))
    try:
        key = _rename(key_id=key_id, **form.cleaned_data)
    except DomainError as error:
        key.refresh_from_db()
        add_domain_error(form, error)
        return api_page(request, rename_dialog(key, form))
    messages.success(request, gettext("The key is now “%(name)s”.") % {"name": key.name})
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
def _rename(*, key_id: int, version: int, name: str) -> APIKey:
    return operations.rename_key(key=locked_key(key_id, version), name=name)


def _back(request: AdminRequest, key: APIKey) -> str:
    """Where the button was: in the drawer, or in the key's row."""
    panel = request.POST.get("panel", "")
    return panel_address(key.pk, panel) if panel in PANELS else row_address(key.pk)
