"""The login in two steps: the password and then, for who has a second factor, a code. Only then is there a session."""

import time
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext

from calliyo.pages.code_fields import CodeField, RecoveryCodeField, codes_left, factor_shown
from leads.models import User

PATIENCE: Final = 10 * 60
_SESSION_KEY: Final = "second_step"


class LoginForm(AdminAuthenticationForm):
    """The admin's login form; once the password was right, and that is not enough, it asks for a code instead.

    The user waits in the session meanwhile, logged in to nothing, for ten minutes at most.
    """

    code = CodeField()
    recovery_code = RecoveryCodeField()
    asks_code = False
    request: HttpRequest

    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        is_second = "code" in self.data
        self.waiting = _waiting(request) if is_second else None
        self.too_late = is_second and self.waiting is None
        self.code_field, self.recovery_field = self.fields.pop("code"), self.fields.pop("recovery_code")
        if self.waiting is not None:
            self._ask_code()
        elif self.too_late:
            self.fields["username"].required = self.fields["password"].required = False

    def clean(self) -> dict[str, Any]:
        """The password's step or the code's; who has yet to show a code is not let in by an error that says so."""
        if self.too_late:
            raise forms.ValidationError(gettext("That took too long. Log in again."), code="too_late")
        if self.waiting is not None:
            self.user_cache = self._proven(self.waiting)
            return self.cleaned_data
        cleaned = super().clean()
        user: AbstractBaseUser | None = self.user_cache
        if isinstance(user, User) and user.has_second_factor:
            self.user_cache = None
            _wait(self.request, user)
            self._ask_code()
            raise forms.ValidationError("", code="code_needed")
        return cleaned

    @property
    def refusal(self) -> str:
        """Why the code was not taken; empty where it is asked for the first time."""
        found = [error for error in self.non_field_errors().as_data() if error.code != "code_needed"]
        return " ".join(str(message) for error in found for message in error.messages)

    def _ask_code(self) -> None:
        self.asks_code = True
        self.code_field.widget.attrs["autofocus"] = True
        self.fields = {"code": self.code_field, "recovery_code": self.recovery_field}

    def _proven(self, user: User) -> User:
        self.confirm_login_allowed(user)
        factor = factor_shown(self.request, user, self.cleaned_data)
        self.request.session.pop(_SESSION_KEY)
        if self.cleaned_data.get("recovery_code"):
            messages.warning(
                self.request, f"{gettext('You logged in with a recovery code.')} {codes_left(factor)}"
            )
        return user


def _wait(request: HttpRequest, user: User) -> None:
    # Another address of the session: one that somebody planted in this browser is none of this user's.
    request.session.cycle_key()
    request.session[_SESSION_KEY] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "since": time.time(),
    }


def _waiting(request: HttpRequest) -> User | None:
    """Whose password was right a while ago, if it is still the same and his second factor too."""
    step = request.session.get(_SESSION_KEY)
    if step is None or time.time() - step["since"] > PATIENCE:
        return None
    user: User | None = User.objects.filter(pk=step["user"], is_active=True, has_second_factor=True).first()
    if user is None or not constant_time_compare(step["hash"], user.get_session_auth_hash()):
        return None
    return user
