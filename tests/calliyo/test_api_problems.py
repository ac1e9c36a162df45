"""Every error of the API has one form, and every answer a request id."""

import re

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions

from apikeys.authentication import BearerAuthentication
from apikeys.scopes import Resource
from calliyo.api.problems import DOMAIN_STATUS, problem_of
from calliyo.api.views import ApiView
from calliyo.errors import DomainError
from leads.api.leads import LeadViewSet
from leads.models import Lead

GENERATED = re.compile(r"req_[0-9a-f]{24}")


def test_an_unknown_address_under_public_is_a_problem():
    answer = Client().get("/public/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": answer.json()["type"],
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "There is no such address in this API.",
        "errors": [],
        "request_id": answer["X-Request-Id"],
    }


@pytest.mark.parametrize(
    "path", ["/public", "/public/", "/public/nothing", "/public/leads/1/x", "/public/%0A"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW"])
def test_an_unknown_address_is_none_to_any_method_and_token(client_with, path, method):
    answer = client_with().request(method, path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert "Allow" not in answer
    assert Client().generic(method, path).status_code == 404
    wrong = Client().generic(method, path, headers={"Authorization": "Bearer x"})
    assert (wrong.status_code, wrong["WWW-Authenticate"]) == (401, 'Bearer realm="calliyo"')


def test_other_addresses_keep_their_pages():
    answer = Client().get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert GENERATED.fullmatch(answer["X-Request-Id"])


def test_an_unknown_host_is_a_problem_too():
    answer = Client().get("/public/me", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("offered", ["a", "trace-1:2/3", "0" * 128, "7b3f6c1e-9a40-4c55-8ff5-7a9f1d1b7a11"])
def test_a_callers_safe_request_id_is_kept(offered):
    assert Client().get("/public/nothing", headers={"X-Request-Id": offered})["X-Request-Id"] == offered


@pytest.mark.parametrize("offered", ["", "0" * 129, "a b", "a\tb", 'a"b', "<b>", "ä", "-a", "a,b", "{a}"])
def test_any_other_request_id_is_replaced(offered):
    answer = Client().get("/public/nothing", headers={"X-Request-Id": offered})
    assert GENERATED.fullmatch(answer["X-Request-Id"])
    assert answer.json()["request_id"] == answer["X-Request-Id"]


@given(st.text(st.characters(codec="latin-1"), max_size=200))
def test_whatever_is_offered_the_answer_has_a_safe_id(offered):
    answer = Client().generic("GET", "/public/nothing", HTTP_X_REQUEST_ID=offered)
    assert re.fullmatch(r"[!-~]{1,128}", answer["X-Request-Id"])


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_is_away_is_a_503_with_retry_after(client_with, monkeypatch, error):
    client = client_with("leads:read")

    def fails(*_):
        raise error

    monkeypatch.setattr(LeadViewSet, "pictures", fails)
    answer = client.get("/public/leads")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer["Retry-After"] == "5"


def test_what_nobody_foresaw_tells_nothing_of_itself(client_with, monkeypatch):
    client = client_with("leads:read")
    client.raise_errors(False)

    def fails(*_):
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(LeadViewSet, "pictures", fails)
    answer = client.get("/public/leads")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (IntegrityError("x"), 409, "conflict"),
        (DataError("x"), 400, "validation_failed"),
        (Lead.DoesNotExist("x"), 404, "not_found"),
        (exceptions.Throttled(wait=3.2), 429, "rate_limited"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (None, 500, "internal_error"),
    ],
)
def test_errors_have_their_status(error, status, code):
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)


@pytest.mark.parametrize(("code", "status"), [*DOMAIN_STATUS.items(), ("any_other_rule", 400)])
def test_a_broken_rule_has_its_codes_status_its_field_and_what_it_adds(code, status):
    rule = type("Rule", (DomainError,), {"code": code})
    problem = problem_of(rule("No.", field="phone", existing_id=7))
    assert (problem.status, problem.code, problem.detail) == (status, code, "No.")
    assert problem.errors[0].field == "phone"
    assert problem.extra == {"existing_id": 7}


def test_nested_errors_are_named_by_their_path():
    nested = exceptions.ValidationError({"leads": {3: {"tags": {"0": ["Too long."]}}}, "phone": ["Bad."]})
    problem = problem_of(nested)
    assert [(error.field, error.detail) for error in problem.errors] == [
        ("leads.3.tags.0", "Too long."),
        ("phone", "Bad."),
    ]
    assert problem.detail == "leads.3.tags.0: Too long. (and 1 more)"


def test_a_view_that_somehow_lets_nobody_in_still_challenges(db):
    class Open(ApiView):
        resource = Resource.LEADS
        authentication_classes = (Silent,)
        throttle_classes = ()

    answer = Open.as_view()(RequestFactory().get("/public/x"))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="calliyo"'
    assert b"not_authenticated" in answer.content


class Silent(BearerAuthentication):
    def authenticate(self, request):
        return None
