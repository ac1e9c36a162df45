"""Every route × method × scope: what the product page grants, and not one thing more."""

import pytest
from django.core.checks import run_checks
from django.test import RequestFactory

from apikeys.checks import every_public_route_declares_its_scope, public_routes
from apikeys.permissions import ANY_KEY, OPEN, AnyOf, HasScope, MayManageWebhooks, needed_scopes
from apikeys.scopes import Access, Resource, Scope, scope_for
from calliyo.api.views import ApiView
from tests.clients import public_client

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "PUT", "DELETE", "TRACE")
# What is served now, of what the contract's table of endpoints names.
SERVED = (
    {
        (path, method)
        for resource in Resource
        for path in (f"/public/{resource}", f"/public/{resource}/1")
        for method in ("GET", "HEAD")
    }
    | {
        (f"/public/{resource}{end}", method)
        for resource in (Resource.LEADS, Resource.TAGS, Resource.FOLLOW_UPS, Resource.NOTES)
        for end, method in (("", "POST"), ("/1", "PATCH"), ("/1", "DELETE"))
    }
    | {("/public/leads/batch", "POST")}
)
SERVED.remove(("/public/leads/1", "DELETE"))
# What a key does with its own webhooks, where the switch is on; it is off by default.
OF_WEBHOOKS = {
    "/public/webhooks": {"GET", "HEAD", "POST"},
    "/public/webhooks/1": {"GET", "HEAD", "PATCH", "DELETE"},
    "/public/webhooks/1/deliveries": {"GET", "HEAD"},
    "/public/webhooks/1/test": {"POST"},
    "/public/webhooks/1/replay": {"POST"},
}


def addresses():
    for route, view in public_routes():
        path = "/" + route.replace("(?P<pk>[^/]+)", "1").replace("^", "").replace("/?$", "").replace("\\", "")
        yield path, view


def test_the_routes_are_the_nine_resources_the_events_the_webhooks_and_me():
    found = {path for path, _ in addresses()}
    wanted = {f"/public/{resource}{end}" for resource in (*Resource, "events") for end in ("", "/1")}
    assert wanted | OF_WEBHOOKS.keys() | {"/public/me"} <= found
    open_to_all = {path for path, view in addresses() if view.resource is OPEN}
    assert open_to_all == {"/public/openapi.json", "/public/docs"}


def test_nothing_but_webhooks_asks_for_the_switch():
    switched = {
        path for path, view in addresses() if MayManageWebhooks in getattr(view, "permission_classes", ())
    }
    assert switched == OF_WEBHOOKS.keys()


@pytest.mark.parametrize("manage_webhooks", [False, True])
@pytest.mark.parametrize("scope", [None, *Scope])
def test_a_key_with_one_scope_or_none_opens_exactly_what_it_grants(db, scope, manage_webhooks):
    client = public_client(*([scope] if scope else []), manage_webhooks=manage_webhooks)
    for path, view in addresses():
        for method in METHODS:
            answer = client.request(method, path, "{}" if method in {"POST", "PATCH"} else "")
            if path in OF_WEBHOOKS:
                wanted = expected_of_webhooks(path, method, manage_webhooks)
            else:
                wanted = expected(path, method, view.resource, scope)
            assert granted(answer) == wanted, (path, method, scope, manage_webhooks)


def granted(answer):
    """Whether the work itself answered (404: no row 1; 400: an empty body), or else the kind of refusal."""
    if answer.status_code in {403, 405}:
        return answer.status_code
    assert answer.status_code in {200, 204, 400, 404}, answer.content
    return "open"


def expected_of_webhooks(path, method, manage_webhooks):
    """No scope opens them, and none is needed: the events' scopes are judged by the body."""
    if method == "OPTIONS":
        return "open"
    if method not in OF_WEBHOOKS[path]:
        return 405
    return "open" if manage_webhooks else 403


def expected(path, method, resource, scope):
    if resource is OPEN:
        return "open" if method in {"GET", "HEAD"} else 405
    if method == "OPTIONS":
        return "open"
    if resource is ANY_KEY:
        return "open" if method in {"GET", "HEAD"} else 405
    if isinstance(resource, AnyOf):
        if method not in {"GET", "HEAD"}:
            return 405
        return "open" if scope in resource.scopes else 403
    if (path, method) not in SERVED:
        return 405
    access = Access.READ if method in {"GET", "HEAD"} else Access.WRITE
    if scope is not scope_for(resource, access):
        return 403
    # A key that may only write changes no lead that exists: it could learn of it.
    return 403 if (resource, method) == (Resource.LEADS, "PATCH") else "open"


def test_all_scopes_open_all_that_is_served(db):
    client = public_client(*Scope)
    for path, method in SERVED:
        answer = client.request(method, path, "{}" if method in {"POST", "PATCH"} else "")
        assert granted(answer) == "open", (path, method)


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
