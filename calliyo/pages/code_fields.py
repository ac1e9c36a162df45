"""Where a code is typed: that of the app, or a recovery code in its place; and what came of it."""

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy, ngettext

from leads.models import SecondFactor, User


class CodeInput(forms.TextInput):
    """A code that was refused is not typed again: it comes back empty, as a password does."""

    def format_value(self, value: Any) -> None:
        return None


class CodeField(forms.CharField):
    """The six digits of an authenticator app, which a phone or a password manager may fill in."""

    def __init__(self, **options: Any) -> None:
        attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "size": "12"}
        super().__init__(
            label=gettext_lazy("Code"),
            max_length=20,
            widget=CodeInput(attributes),
            required=False,
            **options,
        )


class RecoveryCodeField(forms.CharField):
    """One of the ten codes that were kept for the day when the phone is lost."""

    def __init__(self) -> None:
        attributes = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        super().__init__(
            label=gettext_lazy("Recovery code"),
            max_length=40,
            widget=CodeInput(attributes),
            required=False,
        )


def factor_shown(request: HttpRequest, user: User, typed: dict[str, Any]) -> SecondFactor:
    """The user's second factor, if what was typed proves it, which uses the code up; raises ValidationError.

    A wrong code counts as a wrong password does; one that was forgotten does not.
    """
    token = typed.get("recovery_code") or typed.get("code")
    if not token:
        raise forms.ValidationError(gettext("Enter a code."), code="no_code")
    proven = authenticate(request, username=user.get_username(), user=user, token=token)
    if proven is None:
        raise forms.ValidationError(_why_refused(user), code="wrong_code")
    factor: SecondFactor = proven.otp_device  # type: ignore[attr-defined]  # the code's backend put it there
    return factor


def codes_left(factor: SecondFactor) -> str:
    """How many recovery codes there still are, in words."""
    left = len(factor.recovery_digests)
    text = ngettext("%(left)d recovery code is left.", "%(left)d recovery codes are left.", left)
    return text % {"left": left}


def _why_refused(user: User) -> str:
    factor = SecondFactor.objects.filter(user=user).first()
    wait = factor.seconds_to_wait() if factor else 0
    if wait <= 2:  # nobody types faster
        return gettext("This code is wrong, or was used already. Wait for the next one, and enter that.")
    text = ngettext(
        "This code was not accepted. After wrong ones, the app's codes are looked at again in %(wait)d second.",
        "This code was not accepted. After wrong ones, the app's codes are looked at again in %(wait)d seconds.",
        wait,
    )
    return text % {"wait": wait}
