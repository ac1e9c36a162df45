"""A view's declared resource decides who is let in; without one it is nobody. The whole matrix: `test_matrix`."""

import pytest
from django.core.checks import run_checks
from django.test import RequestFactory

from apikeys.checks import every_public_route_declares_its_scope, public_routes
from apikeys.permissions import OPEN, AnyOf, HasScope, needed_scopes
from apikeys.scopes import Resource, Scope
from calliyo.api.views import ApiView
from tests.clients import public_client


class Undeclared(ApiView):
    def get(self, request):
        raise AssertionError("nobody gets here")


class Misdeclared(Undeclared):
    resource = "leads"


class Unguarded(Undeclared):
    resource = Resource.LEADS
    permission_classes = ()


@pytest.mark.parametrize("view", [Undeclared, Misdeclared])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_route_without_a_declared_scope_refuses_everyone(db, view, method):
    client = public_client(*Scope)
    request = RequestFactory().generic(
        method, "/public/x", headers={"Authorization": f"Bearer {client.token}"}
    )
    answer = view.as_view()(request)
    assert answer.status_code == 403
    assert b"insufficient_scope" in answer.content


def test_a_plain_view_with_a_resource_asks_for_its_scope(db):
    class Plain(ApiView):
        resource = Resource.CALLS

        def get(self, request):
            raise AssertionError("nobody gets here")

    client = public_client("leads:read")
    request = RequestFactory().get("/public/x", headers={"Authorization": f"Bearer {client.token}"})
    assert Plain.as_view()(request).status_code == 403


def test_what_any_of_several_scopes_opens_names_all_of_them_when_it_refuses(db):
    answer = public_client("leads:write", "users:read").get("/public/events")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="leads:read follow-ups:read notes:read calls:read"' in answer["WWW-Authenticate"]
    assert needed_scopes(AnyOf((Scope.LEADS_READ,)), "POST") == ()


def test_every_route_passes_the_system_check():
    assert not [problem for problem in run_checks(tags=["api"]) if problem.id.startswith("apikeys.")]
    for _, view in public_routes():
        assert view.resource is OPEN or HasScope in view.permission_classes


def test_the_system_check_names_routes_without_a_scope_or_a_guard(monkeypatch):
    routes = [("public/x", Undeclared), ("public/y", Unguarded)]
    monkeypatch.setattr("apikeys.checks.public_routes", lambda: iter(routes))
    found = every_public_route_declares_its_scope()
    assert [problem.id for problem in found] == ["apikeys.E001", "apikeys.E002"]
