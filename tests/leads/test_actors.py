"""Who acts, when a person's session makes the request."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from calliyo.actor import SYSTEM, Actor, ActorType, current_actor
from calliyo.api.request_id import RequestIdMiddleware
from leads.actors import StaffActorMiddleware
from tests.leads.factories import UserFactory

seen: list[Actor] = []


def answer(request: HttpRequest) -> HttpResponse:
    seen.append(current_actor())
    return HttpResponse()


class Unread:
    """A session's user whom nobody may look at."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"the session's user was asked for {name}")


def request_of(path: str, user: object, *, cookie: bool = True) -> HttpRequest:
    request = RequestFactory().get(path, headers={"X-Request-Id": "req_1"})
    request.user = user  # type: ignore[assignment]
    if cookie:
        request.COOKIES["sessionid"] = "x"
    return request


@pytest.mark.django_db
def test_the_staff_user_of_the_session_acts_until_the_request_ends() -> None:
    user = UserFactory(name="Farheen Shaikh")
    RequestIdMiddleware(StaffActorMiddleware(answer))(request_of("/admin/leads/lead/", user))
    assert seen[-1] == Actor(type=ActorType.USER, id=user.pk, name="Farheen Shaikh", request_id="req_1")
    assert current_actor() == SYSTEM


@pytest.mark.django_db
def test_a_banned_user_does_not_act() -> None:
    StaffActorMiddleware(answer)(request_of("/admin/", UserFactory(is_active=False)))
    assert seen[-1] == SYSTEM


@pytest.mark.parametrize("path", ["/public", "/public/leads", "/static/admin/css/base.css"])
def test_the_session_is_not_looked_at_where_none_counts(path: str) -> None:
    StaffActorMiddleware(answer)(request_of(path, Unread()))
    assert seen[-1] == SYSTEM


def test_the_session_is_not_looked_at_where_there_is_no_cookie() -> None:
    StaffActorMiddleware(answer)(request_of("/healthz", Unread(), cookie=False))
    assert seen[-1] == SYSTEM
