"""Who may open the Settings; their answers are never kept by a cache."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django_htmx.middleware import HtmxDetails

from calliyo.pages import held
from calliyo.pages.login import ask_for_login
from leads.models import Role, User

P = ParamSpec("P")


PANELS = ("scopes", "webhooks", "usage")


class AdminRequest(HttpRequest):
    """A request that `settings_view` let through: its user is a company admin; or `staff_view`: any user."""

    user: User
    htmx: HtmxDetails
    # Whether what was typed before a login is shown again: nothing is done with it yet.
    is_held: bool


View = Callable[Concatenate[AdminRequest, P], HttpResponse]
Guarded = Callable[Concatenate[HttpRequest, P], HttpResponse]


def is_company_admin(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether Settings are this user's business."""
    return isinstance(user, User) and user.is_active and user.role == Role.COMPANY_ADMIN


def api_tab_address() -> str:
    """The API tab, without anything open over it."""
    return f"{reverse('pages:settings')}?tab=api"


def row_address(key_id: int) -> str:
    """The page of the list that this key is on, at its row."""
    return f"{api_tab_address()}&at={key_id}#key-{key_id}"


def panel_address(key_id: int, panel: str) -> str:
    """One of `PANELS` of a key's drawer."""
    return f"{api_tab_address()}&key={key_id}&panel={panel}"


def staff_view(view: View[P]) -> Guarded[P]:
    """A view for everybody who works here; a visitor is shown the login first."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return _login_first(request)
        staff_request = cast("AdminRequest", request)  # its user was checked above
        staff_request.is_held = False
        response = view(staff_request, *args, **kwargs)
        add_never_cache_headers(response)
        return response

    return guarded


def settings_view(view: View[P]) -> Guarded[P]:
    """A view for company admins; a visitor is shown the login first, everybody else is refused.

    What was deleted meanwhile is told as a notice on the tab.
    """

    @wraps(view)
    def for_admins(request: AdminRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not is_company_admin(request.user):
            raise PermissionDenied
        try:
            return view(request, *args, **kwargs)
        except ObjectDoesNotExist:
            messages.error(request, _gone(request))
            return redirect(api_tab_address())

    return staff_view(for_admins)


def _gone(request: HttpRequest) -> str:
    text = gettext("This no longer exists: it was deleted meanwhile.")
    typed = held.in_words(request.POST)
    return f"{text} {gettext('You had entered: %(typed)s') % {'typed': typed}}" if typed else text


def form_target(view: View[P]) -> Guarded[P]:
    """A settings view that takes a form without typed text, such as a button's.

    Its address alone (typed, or come back to after a login) leads to the tab.
    """

    @wraps(view)
    def posted(request: AdminRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        if held.take(request) is not None:
            messages.warning(
                request, gettext("Your login had ended, so nothing was changed. Please try again.")
            )
        return redirect(api_tab_address())

    return settings_view(posted)


def typed_form_target(view: View[P]) -> Guarded[P]:
    """A settings view that takes what was typed, and shows it again after a login: see `may_act_on`."""
    as_form_target = form_target(view)

    @wraps(view)
    def posted_or_held(request: AdminRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        typed = held.take(request) if request.method == "GET" else None
        if typed is None:
            return as_form_target(request, *args, **kwargs)
        request.POST, request.is_held = typed, True  # type: ignore[assignment]  # as a form that was just sent
        text = gettext(
            "Nothing was saved yet: your login had ended. What you typed is here again; look it over."
        )
        messages.warning(request, text)
        return view(request, *args, **kwargs)

    return settings_view(posted_or_held)


def may_act_on(form: BaseForm, request: AdminRequest) -> bool:
    """Whether what was typed is valid, and was sent knowingly rather than brought back after a login."""
    return form.is_valid() and not request.is_held


def _login_first(request: HttpRequest) -> HttpResponse:
    if request.method in {"GET", "HEAD"}:
        return redirect_to_login(request.get_full_path())
    response = ask_for_login(request)
    add_never_cache_headers(response)
    return response
