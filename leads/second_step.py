"""The second step of a login: whether a code is right, and that nobody is logged in whose session has not passed it."""

from functools import partial

import django_otp
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from leads.models import SecondFactor, User
from leads.roles import RoleBackend


class CodeBackend:
    """Takes a code of a user whose password was right. As it is a backend, django-axes limits it as it does passwords.

    `authenticate(request, username=…, user=…, token=…)`; `login()` then notes in the session that it has passed.
    """

    get_user = RoleBackend.get_user

    def authenticate(self, request: HttpRequest, *, username: str, user: User, token: str) -> User | None:
        """The user, where the code is right; it is used up by that."""
        factor = SecondFactor.objects.filter(user=user).first()
        device = factor and django_otp.verify_token(user, factor.persistent_id, token)
        if device is None or not user.is_active:
            return None
        user.otp_device = device  # type: ignore[attr-defined]  # what django-otp looks for at the login
        return user


class SecondStepMiddleware(AuthenticationMiddleware):
    """Who has a second factor is a visitor until his session has passed it. Costs no query: both are loaded anyway."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(partial(_user_of, request))  # type: ignore[assignment]


def _user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    user = get_user(request)
    if isinstance(user, User) and user.has_second_factor and not has_passed(request):
        return AnonymousUser()
    return user


def has_passed(request: HttpRequest) -> bool:
    """Whether the session has seen a right code; sessions from before another factor was switched on have ended."""
    return django_otp.DEVICE_ID_SESSION_KEY in request.session
