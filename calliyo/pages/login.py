"""The login that comes between a form and its target, and keeps what was typed; and what a stale form gets."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.csrf import csrf_failure

from calliyo.pages import held
from calliyo.pages.login_form import LoginForm


class LoginToGoOn(LoginView):
    """The admin's login form, with what was typed before it; then that form again, filled."""

    authentication_form = LoginForm
    template_name = "pages/login.html"
    http_method_names = ["post"]
    seal = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """As the admin's login page, and what is held."""
        return super().get_context_data(
            **admin.site.each_context(self.request),
            **kwargs,
            title=gettext("Log in"),
            app_path=reverse("pages:login"),
            held=self.seal or self.request.POST.get("held", ""),
        )

    def get_success_url(self) -> str:
        """The form that was sent too late, else the tab."""
        return held.keep(self.request, self.request.POST.get("held", "")) or reverse("pages:settings")


def ask_for_login(request: HttpRequest) -> HttpResponse:
    """The login page, in answer to a form that came without a login."""
    view = LoginToGoOn(seal=held.sealed(request))
    view.setup(request)
    return view.render_to_response(view.get_context_data(form=LoginForm(request)))


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """In answer to a form whose CSRF token is not that of the session, as after a login in another tab.

    What our own page sent is shown again, filled, with a token that is good; anything else is refused.
    """
    from_our_page = request.META.get("HTTP_SEC_FETCH_SITE") == "same-origin"
    if from_our_page and request.user.is_authenticated and request.path.startswith(reverse("pages:settings")):
        again = held.keep(request, held.sealed(request))
        if again is not None:
            return redirect(again)
    return csrf_failure(request, reason)
