"""The Scopes panel's targets: save the ticks and the limits, and say in words what some ticks would mean."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from apikeys import operations
from apikeys.models import APIKey
from apikeys.scopes import Scope
from calliyo.errors import DomainError
from calliyo.pages.access import AdminRequest, may_act_on, panel_address, settings_view, typed_form_target
from calliyo.pages.api_tab import scope_table
from calliyo.pages.api_tab.audit import changes_since
from calliyo.pages.api_tab.config_form import ConfigForm
from calliyo.pages.api_tab.drawer import NotSaved, scopes_panel
from calliyo.pages.api_tab.page import api_page
from calliyo.pages.api_tab.versions import ChangedMeanwhile, locked_key
from calliyo.unit_of_work import unit_of_work


@typed_form_target
def save_scopes(request: AdminRequest, key_id: int) -> HttpResponse:
    """Saves ticks and limits, unless they were made on another version or stop events that nobody was told of."""
    key = APIKey.objects.get(pk=key_id)
    form = ConfigForm(request.POST, key=key)
    if not may_act_on(form, request):
        return _again(request, key, form)
    wanted, version = form.configuration(), form.cleaned_data["version"]
    if scope_table.words(key, wanted["scopes"]).stops_mark not in {"", form.cleaned_data["stops_accepted"]}:
        text = gettext("Not saved yet: this stops events. Save again to go on.")
        return _again(request, key, form, NotSaved(why=text))
    try:
        _save(key_id=key_id, version=version, wanted=wanted)
    except ChangedMeanwhile:
        return _again(request, *_at_version_now(request, key), _meanwhile(key, version))
    except DomainError as error:
        form.refuse(error)
        return _again(request, key, form)
    messages.success(request, gettext("Saved"))
    return redirect(panel_address(key_id, "scopes"))


@settings_view
def scopes_in_words(request: AdminRequest, key_id: int) -> HttpResponse:
    """The words under the table for the ticks in the query, for the page's script."""
    scopes = [scope for scope in Scope if scope in request.GET.getlist("scopes")]
    words = scope_table.words(APIKey.objects.get(pk=key_id), scopes)
    return render(request, "pages/api/_in_words.html", {"words": words})


@unit_of_work
def _save(*, key_id: int, version: int, wanted: dict[str, object]) -> None:
    operations.configure_key(key=locked_key(key_id, version), **wanted)  # type: ignore[arg-type]  # the form's own


def _at_version_now(request: AdminRequest, key: APIKey) -> tuple[APIKey, ConfigForm]:
    """What was typed, on the version that is saved now: saving again replaces it knowingly."""
    key.refresh_from_db()
    data = request.POST.copy()
    data["version"] = str(key.version)
    return key, ConfigForm(data, key=key)


def _meanwhile(key: APIKey, version: int) -> NotSaved:
    text = gettext(
        "Not saved: this key was changed since you opened it. What you ticked and typed is still here; "
        "save again to replace what is saved."
    )
    return NotSaved(why=text, changes=changes_since(key, version))


def _again(
    request: AdminRequest, key: APIKey, form: ConfigForm, not_saved: NotSaved | None = None
) -> HttpResponse:
    return api_page(request, scopes_panel(key, form, not_saved))
