"""The person behind a session acts in every change that his request makes, and sees the company's time."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from calliyo.actor import Actor, ActorType, acting_as
from calliyo.api.request_id import current_request_id
from leads.models import User
from leads.operations.company import company_zone


class StaffActorMiddleware:
    """Sets the actor to the staff user of the session, and the time zone to the company's, for the request.

    The public API is passed over: a session never opens it, and looking at one would cost a query and add
    `Vary: Cookie` to every answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        actor = _staff_actor(request)
        if actor is None:
            return self.get_response(request)
        with acting_as(actor), timezone.override(company_zone()):
            return self.get_response(request)


def _staff_actor(request: HttpRequest) -> Actor | None:
    if _is_public(request.path_info) or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return None
    return Actor(type=ActorType.USER, id=user.pk, name=user.name, request_id=current_request_id())


def _is_public(path: str) -> bool:
    return path == "/public" or path.startswith(("/public/", settings.STATIC_URL))
