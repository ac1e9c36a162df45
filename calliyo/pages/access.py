"""Who may open the Settings; their answers are never kept by a cache."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext

from leads.models import Role, User

P = ParamSpec("P")


PANELS = ("scopes", "webhooks", "usage")


class AdminRequest(HttpRequest):
    """A request that `settings_view` let through: its user is a company admin."""

    user: User


View = Callable[Concatenate[AdminRequest, P], HttpResponse]
Guarded = Callable[Concatenate[HttpRequest, P], HttpResponse]


def is_company_admin(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether Settings are this user's business."""
    return isinstance(user, User) and user.is_active and user.role == Role.COMPANY_ADMIN


def api_tab_address() -> str:
    """The API tab, without anything open over it."""
    return f"{reverse('pages:settings')}?tab=api"


def panel_address(key_id: int, panel: str) -> str:
    """One of `PANELS` of a key's drawer."""
    return f"{api_tab_address()}&key={key_id}&panel={panel}"


def settings_view(view: View[P]) -> Guarded[P]:
    """A view for company admins; a visitor is shown the login first, everybody else is refused.

    What was deleted meanwhile is told as a notice on the tab.
    """

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(_wanted(request))
        if not is_company_admin(request.user):
            raise PermissionDenied
        try:
            response = view(request, *args, **kwargs)  # type: ignore[arg-type]  # its user was checked above
        except ObjectDoesNotExist:
            messages.error(request, gettext("This no longer exists: it was deleted meanwhile."))
            response = redirect(api_tab_address())
        add_never_cache_headers(response)
        return response

    return guarded


def form_target(view: View[P]) -> Guarded[P]:
    """A settings view that takes a form. Its address alone (typed, or come back to after a login) leads to the tab."""

    @wraps(view)
    def posted(request: AdminRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return view(request, *args, **kwargs) if request.method == "POST" else redirect(api_tab_address())

    return settings_view(posted)


def _wanted(request: HttpRequest) -> str:
    """Where to go after the login: the page asked for, or the tab of a form that was sent too late."""
    return request.get_full_path() if request.method in {"GET", "HEAD"} else api_tab_address()
