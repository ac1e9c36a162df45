"""`/settings/second-factor`: a user's own second factor. Everybody who works here has this page."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import django_otp
import segno
from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate, update_session_auth_hash
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from calliyo.encryption import Undecryptable, decrypt, encrypt
from calliyo.errors import DomainError
from calliyo.pages import form_numbers, held
from calliyo.pages.access import AdminRequest, staff_view
from calliyo.pages.code_fields import CodeField, RecoveryCodeField, codes_left, factor_shown
from calliyo.unit_of_work import unit_of_work
from leads import codes
from leads.models import SecondFactor, User
from leads.operations import second_factor as operations

# How long a key that no app has confirmed waits in the session, sealed.
PATIENCE: Final = 60 * 60
_SESSION_KEY: Final = "second_factor_key"


class PasswordForm(forms.Form):
    """Asks for the password of whoever sits there: an open browser is not enough to change how its owner logs in."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )

    def __init__(self, sent: QueryDict | None = None, *, request: AdminRequest) -> None:
        super().__init__(sent, label_suffix="")
        self.request = request

    def clean_password(self) -> str:
        """Counted as at the login: guessing here ends as soon."""
        password: str = self.cleaned_data["password"]
        user = self.request.user
        if authenticate(self.request, username=user.get_username(), password=password) != user:
            raise forms.ValidationError(gettext("The password is wrong."))
        return password


class ConfirmForm(PasswordForm):
    """The first code of an app that was just given the key; who takes another app has shown his password already."""

    code = CodeField(help_text=gettext_lazy("Six digits that the app shows, new every 30 seconds."))

    def __init__(self, sent: QueryDict | None = None, *, request: AdminRequest) -> None:
        super().__init__(sent, request=request)
        if request.user.has_second_factor:
            del self.fields["password"]


class ProofForm(PasswordForm):
    """What is asked before anything is changed: the password, and a code."""

    code = CodeField()
    recovery_code = RecoveryCodeField()

    def clean(self) -> dict[str, Any]:
        """The password first: a code is not used up beside a wrong one."""
        if "password" not in self.cleaned_data:
            return self.cleaned_data
        try:
            factor_shown(self.request, self.request.user, self.cleaned_data)
        except forms.ValidationError as refusal:
            self.add_error("recovery_code" if self.cleaned_data.get("recovery_code") else "code", refusal)
        return self.cleaned_data


@sensitive_post_parameters("password", "code", "recovery_code")
@staff_view
def second_factor_page(request: AdminRequest) -> HttpResponse:
    """Shows how it stands, and what can be done; does what one of its forms asks for."""
    act = _ACTS.get(request.POST.get("do", "")) if request.method == "POST" else None
    if act is not None:
        return act(request)
    if held.take(request) is not None:
        text = gettext("Your login had ended, so nothing was changed. Please try again.")
        messages.warning(request, text)
    return _page(request)


def _confirm(request: AdminRequest) -> HttpResponse:
    key, form = _pending_key(request), ConfirmForm(request.POST, request=request)
    if key is None:
        messages.warning(request, gettext("That took too long: here is another key. Nothing was changed."))
        return redirect("pages:second-factor")
    if not form.is_valid():
        return _page(request, confirm=form)
    try:
        shown = _switch_on(request.user, request.POST.get("form_number", ""), key, form.cleaned_data["code"])
    except form_numbers.FormAlreadyUsed as refusal:
        return _back(request, refusal)
    except DomainError as refusal:
        form.add_error("code" if refusal.field == "code" else None, refusal.detail)
        return _page(request, confirm=form)
    del request.session[_SESSION_KEY]
    # Every other session of this user has ended; this one has just seen a code.
    update_session_auth_hash(request, request.user)
    django_otp.login(request, SecondFactor.objects.get(user=request.user))
    return _page(request, recovery_codes=shown)


@unit_of_work
def _switch_on(user: User, number: str, key: str, code: str) -> list[str]:
    form_numbers.spend(number, user)
    return operations.switch_on(user=user, key=key, code=code)


def _renew(request: AdminRequest) -> HttpResponse:
    form = ProofForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, proof=form)
    try:
        shown = _new_codes(request.user, request.POST.get("form_number", ""))
    except DomainError as refusal:
        return _back(request, refusal)
    return _page(request, recovery_codes=shown)


@unit_of_work
def _new_codes(user: User, number: str) -> list[str]:
    form_numbers.spend(number, user)
    return operations.renew_recovery_codes(user=user)


def _start_anew(request: AdminRequest) -> HttpResponse:
    form = ProofForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, proof=form)
    _new_key(request)
    return redirect("pages:second-factor")


def _switch_off(request: AdminRequest) -> HttpResponse:
    form = ProofForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, proof=form)
    operations.switch_off(user=request.user)
    messages.success(request, gettext("The second factor is off: the password is enough to log in."))
    return redirect("pages:second-factor")


def _stay(request: AdminRequest) -> HttpResponse:
    request.session.pop(_SESSION_KEY, None)
    return redirect("pages:second-factor")


_ACTS: Mapping[str, Callable[[AdminRequest], HttpResponse]] = {
    "confirm": _confirm,
    "renew": _renew,
    "anew": _start_anew,
    "off": _switch_off,
    "stay": _stay,
}


def _back(request: AdminRequest, refusal: DomainError) -> HttpResponse:
    messages.warning(request, refusal.detail)
    return redirect("pages:second-factor")


def _page(
    request: AdminRequest,
    *,
    confirm: ConfirmForm | None = None,
    proof: ProofForm | None = None,
    recovery_codes: list[str] | None = None,
) -> HttpResponse:
    key = _pending_key(request)
    factor = SecondFactor.objects.filter(user=request.user).first()
    context: dict[str, Any] = {"factor": factor, "form_number": form_numbers.issue(request.user)}
    if factor is None or key is not None:
        key = key or _new_key(request)
        uri = codes.key_uri(key, request.user.get_username())
        context |= {
            "setup": confirm or ConfirmForm(request=request),
            "key": codes.in_fours(key),
            "uri": uri,
            "picture": _picture(uri),
        }
    else:
        context |= {"proof": proof or ProofForm(request=request), "left": codes_left(factor)}
    if recovery_codes is not None:
        context["recovery_codes"] = recovery_codes
    return render(request, "pages/second_factor.html", context)


def _picture(uri: str) -> SafeString:
    """The QR code as SVG, dark on white in either scheme: not every app reads one that is inverted."""
    picture = segno.make(uri, error="m", micro=False).svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True
    )
    return mark_safe(picture)  # noqa: S308  # of numbers alone


def _new_key(request: AdminRequest) -> str:
    key = codes.new_key()
    request.session[_SESSION_KEY] = {"sealed": encrypt(key), "since": time.time()}
    return key


def _pending_key(request: AdminRequest) -> str | None:
    """The key that waits for its first code, unless that took too long."""
    pending = request.session.get(_SESSION_KEY)
    if pending is None or time.time() - pending["since"] > PATIENCE:
        return None
    try:
        return decrypt(pending["sealed"])
    except Undecryptable:
        return None
