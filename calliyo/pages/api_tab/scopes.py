"""The Scopes panel's targets: save the ticks, and say in words what some ticks would mean."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from apikeys import operations
from apikeys.models import APIKey
from apikeys.scopes import Scope, in_order
from calliyo.errors import DomainError
from calliyo.pages.access import AdminRequest, api_tab_address, form_target, settings_view
from calliyo.pages.api_tab import scope_table
from calliyo.pages.api_tab.drawer import scopes_panel
from calliyo.pages.api_tab.forms import ScopesForm, add_domain_error
from calliyo.pages.api_tab.page import api_page
from calliyo.pages.api_tab.versions import ChangedMeanwhile, last_change, locked_key
from calliyo.pages.wording import brief
from calliyo.unit_of_work import unit_of_work


@form_target
def save_scopes(request: AdminRequest, key_id: int) -> HttpResponse:
    """Saves the ticks, unless they were made on another version or stop events that nobody was told of."""
    key = APIKey.objects.get(pk=key_id)
    ticked = request.POST.getlist("scopes")
    form = ScopesForm(request.POST)
    if not form.is_valid():
        return _not_saved(request, key, ticked, form)
    scopes = in_order(form.cleaned_data["scopes"])
    if scope_table.words(key, scopes).stops_mark not in {"", form.cleaned_data["stops_accepted"]}:
        return _not_saved(
            request, key, ticked, form, gettext("Not saved yet: this stops events. Save again to go on.")
        )
    try:
        _save(key_id=key_id, version=form.cleaned_data["version"], scopes=scopes)
    except ChangedMeanwhile:
        key.refresh_from_db()
        return _not_saved(request, key, ticked, form, _meanwhile(key))
    except DomainError as error:
        add_domain_error(form, error)
        return _not_saved(request, key, ticked, form)
    messages.success(request, gettext("Saved"))
    return redirect(f"{api_tab_address()}&key={key_id}&panel=scopes")


@settings_view
def scopes_in_words(request: AdminRequest, key_id: int) -> HttpResponse:
    """The words under the table for the ticks in the query, for the page's script."""
    scopes = [scope for scope in Scope if scope in request.GET.getlist("scopes")]
    words = scope_table.words(APIKey.objects.get(pk=key_id), scopes)
    return render(request, "pages/api/_in_words.html", {"words": words})


@unit_of_work
def _save(*, key_id: int, version: int, scopes: list[Scope]) -> None:
    operations.set_scopes(key=locked_key(key_id, version), scopes=scopes)


def _meanwhile(key: APIKey) -> str:
    saved = brief(key.scopes)
    return gettext(
        "Not saved: this key was changed since you opened it (%(who)s). Saved now: %(scopes)s. "
        "Your ticks are still here; save again to replace what is saved."
    ) % {
        "who": last_change(key, timezone.now()),
        "scopes": ", ".join(filter(None, [saved.headline, saved.rest])),
    }


def _not_saved(
    request: AdminRequest,
    key: APIKey,
    ticked: list[str],
    form: ScopesForm,
    notice: str = "",
) -> HttpResponse:
    return api_page(request, scopes_panel(key, ticked, form, notice))
