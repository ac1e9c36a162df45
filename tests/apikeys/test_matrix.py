"""Every route × method × scope on real rows: what the product page grants, and not one thing more.

Keys with no scope, with each alone, with all but one, and with all thirteen. A key is never shown what it may not read,
whatever answers it, and what is refused changes nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import transaction

from apikeys.checks import public_routes
from apikeys.permissions import ANY_KEY, OPEN, AnyOf, MayManageWebhooks
from apikeys.scopes import Access, Resource, Scope, scope_for
from leads.models import Activity, Campaign, Customer, Deletion, FollowUp, Lead, Note, Tag, User
from tests.clients import public_client
from tests.leads.factories import (
    CallFactory,
    CampaignFactory,
    CustomerFactory,
    FollowUpFactory,
    LeadFactory,
    NoteFactory,
    TagFactory,
    UserFactory,
    status_named,
)
from webhooks.models import Event, Webhook

READING = ("GET", "HEAD")
METHODS = (*READING, "OPTIONS", "POST", "PATCH", "PUT", "DELETE", "TRACE", "BREW")
STREAMS = ("application/x-ndjson", "text/csv")
WRITABLE = (Resource.LEADS, Resource.TAGS, Resource.FOLLOW_UPS, Resource.NOTES)
# What a key does with its own webhooks, where the switch is on; it is off by default.
OF_WEBHOOKS = {
    "webhooks": {"GET", "HEAD", "POST"},
    "webhooks/1": {"GET", "HEAD", "PATCH", "DELETE"},
    "webhooks/1/deliveries": {"GET", "HEAD"},
    "webhooks/1/test": {"POST"},
    "webhooks/1/replay": {"POST"},
}
EXPANDABLE = {
    Resource.LEADS: {"owner": Scope.USERS_READ, "campaign": Scope.CAMPAIGNS_READ},
    Resource.CUSTOMERS: {"owner": Scope.USERS_READ, "campaign": Scope.CAMPAIGNS_READ},
    Resource.CALLS: {"lead": Scope.LEADS_READ, "agent": Scope.USERS_READ},
    Resource.FOLLOW_UPS: {"lead": Scope.LEADS_READ, "owner": Scope.USERS_READ},
    Resource.NOTES: {"lead": Scope.LEADS_READ},
}
KEYS = {
    "none": [],
    **{scope.value: [scope] for scope in Scope},
    **{f"all but {scope.value}": [other for other in Scope if other != scope] for scope in Scope},
    "all": list(Scope),
}


@dataclass(frozen=True, slots=True)
class World:
    """One row of each resource, whose text bears the resource's mark, and the id of the lead's first event."""

    pks: dict[Resource, int]
    event: str

    def path(self, route: str) -> str:
        """An address below `/public/`, of a row that is there."""
        plain = route.removeprefix("public/").replace("(?P<pk>[^/]+)", "{pk}")
        plain = plain.replace("^", "").replace("/?$", "").replace("\\", "")
        first = plain.partition("/")[0]
        pk = self.pks.get(first) or {"events": self.event}.get(first, 1)  # type: ignore[call-overload]
        return plain.format(pk=pk)


def mark(resource: Resource) -> str:
    return f"Mark-of-{resource.value}"


@pytest.fixture
def world(db):
    user = UserFactory(name=mark(Resource.USERS), email=f"{mark(Resource.USERS)}@example.com")
    campaign = CampaignFactory(name=mark(Resource.CAMPAIGNS))
    lead = LeadFactory(first_name=mark(Resource.LEADS), owner=user, campaign=campaign)
    about = {"lead": lead, "note": mark(Resource.CALLS)}
    pks = {
        Resource.LEADS: lead.pk,
        Resource.CUSTOMERS: CustomerFactory(first_name=mark(Resource.CUSTOMERS), owner=user).pk,
        Resource.USERS: user.pk,
        Resource.LEAD_STATUSES: status_named("Busy").pk,
        Resource.TAGS: TagFactory(name=mark(Resource.TAGS)).pk,
        Resource.FOLLOW_UPS: FollowUpFactory(lead=lead, owner=user, note=mark(Resource.FOLLOW_UPS)).pk,
        Resource.NOTES: NoteFactory(
            lead=lead,
            text=mark(Resource.NOTES),
            author_type="user",
            author_id=user.pk,
            author_name=user.name,
        ).pk,
        Resource.CALLS: CallFactory(agent=user, **about).pk,
        Resource.CAMPAIGNS: campaign.pk,
    }
    TagFactory(name="gone").delete()
    return World(pks, Event.objects.filter(lead_id=lead.pk).order_by("pk")[0].public_id)


def routes(world: World) -> Iterator[tuple[str, object]]:
    for route, view in public_routes():
        yield world.path(route), view.resource


def everything():
    """All that a write could change."""
    models = (Lead, User, Tag, FollowUp, Note, Campaign)
    return (
        {model: sorted(model.rows.values_list("pk", "version")) for model in models},
        [model.objects.count() for model in (Customer, Event, Webhook, Activity, Deletion)],
    )


def body_of(world: World, path: str, method: str):
    lead_id = world.pks[Resource.LEADS]
    new = {"first_name": "New", "phone": "+919811112222"}
    return {
        ("leads", "POST"): new,
        ("leads/batch", "POST"): {"leads": [new]},
        ("tags", "POST"): {"name": "fresh"},
        ("follow-ups", "POST"): {"lead_id": lead_id, "due_at": "2030-01-01T00:00:00Z"},
        ("notes", "POST"): {"lead_id": lead_id, "text": "New"},
        ("leads", "PATCH"): {"source": "x"},
        ("tags", "PATCH"): {"name": "other"},
        ("follow-ups", "PATCH"): {"note": "x"},
        ("notes", "PATCH"): {"text": "x"},
    }.get((path.partition("/")[0] if method == "PATCH" else path, method), {})


def expected(path: str, method: str, resource: object, scopes: list[Scope]):
    """What the contract grants: "open", 403 or 405."""
    reading = method in READING
    if method == "OPTIONS":
        return 405 if resource is OPEN else "open"
    if path in OF_WEBHOOKS:
        return 403 if method in OF_WEBHOOKS[path] else 405
    if resource is OPEN or resource is ANY_KEY:
        return "open" if reading else 405
    if isinstance(resource, AnyOf):
        return 405 if not reading else "open" if set(resource.scopes) & set(scopes) else 403
    assert isinstance(resource, Resource)
    if not reading and not is_write(path, method, resource):
        return 405
    if path == "leads/batch" and reading:
        return 405
    needed = scope_for(resource, Access.READ if reading else Access.WRITE)
    if needed not in scopes:
        return 403
    # A key that may only write changes no lead that exists: it could learn of it.
    silent = resource is Resource.LEADS and method == "PATCH" and Scope.LEADS_READ not in scopes
    return 403 if silent else "open"


def is_write(path: str, method: str, resource: Resource) -> bool:
    if path == "leads/batch":
        return method == "POST"
    single = "/" in path
    served = {"PATCH", "DELETE"} if single else {"POST"}
    return resource in WRITABLE and method in served and (resource, method) != (Resource.LEADS, "DELETE")


def granted(answer):
    if answer.status_code in {403, 405}:
        return answer.status_code
    assert answer.status_code in {200, 201, 202, 204}, (answer.status_code, answer.content)
    return "open"


def text_of(answer) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode()


def may_see(resource: Resource, scopes: list[Scope]) -> bool:
    reads = {scope_for(resource, Access.READ)}
    if resource is Resource.CUSTOMERS:
        reads.add(Scope.LEADS_READ)  # a customer is a lead still
    if resource is Resource.TAGS:
        reads |= {Scope.LEADS_READ, Scope.CUSTOMERS_READ}  # a lead shows the names of its tags
    return bool(reads & set(scopes))


@pytest.mark.parametrize("scopes", KEYS.values(), ids=KEYS)
def test_a_key_opens_exactly_what_its_scopes_grant_and_sees_nothing_else(world, scopes):
    client = public_client(*scopes)
    before = everything()
    hidden = [mark(resource) for resource in Resource if not may_see(resource, scopes)]
    for path, resource in routes(world):
        for method in METHODS:
            wanted = expected(path, method, resource, scopes)
            body = body_of(world, path, method)
            with transaction.atomic():
                answer = client.request(
                    method, f"/public/{path}", "" if method in READING else json.dumps(body)
                )
                text = text_of(answer)
                transaction.set_rollback(wanted == "open")
            told = (path, method, answer.status_code, text[:300])
            if answer.status_code == 404 and isinstance(resource, AnyOf):
                assert Scope.LEADS_READ not in scopes, told
            else:
                assert granted(answer) == wanted, told
            if resource is not OPEN:
                assert not [one for one in hidden if one in text], told
    assert everything() == before


def test_the_routes_are_the_nine_resources_the_events_the_webhooks_and_me(world):
    found = dict(routes(world))
    of_rows = {f"{resource}/{world.pks[resource]}" for resource in Resource}
    wanted = {*Resource, *of_rows, "leads/batch", "events", f"events/{world.event}", "me", *OF_WEBHOOKS}
    open_to_all = {"openapi.json", "docs"}
    assert found.keys() == wanted | open_to_all
    assert {path for path, resource in found.items() if resource is OPEN} == open_to_all


def test_nothing_but_webhooks_asks_for_the_switch(world):
    switched = {
        world.path(route)
        for route, view in public_routes()
        if MayManageWebhooks in getattr(view, "permission_classes", ())
    }
    assert switched == OF_WEBHOOKS.keys()


@pytest.mark.parametrize("scopes", [[], list(Scope)], ids=["none", "all"])
def test_the_switch_opens_webhooks_and_nothing_else_whatever_the_scopes(world, scopes):
    """No scope opens them, and none is needed: the events' scopes are judged by the body."""
    client = public_client(*scopes, manage_webhooks=True)
    for path, resource in routes(world):
        for method in METHODS:
            answer = client.request(method, f"/public/{path}", "" if method in READING else "{}")
            if path in OF_WEBHOOKS:
                served = method == "OPTIONS" or method in OF_WEBHOOKS[path]
                found = {404} if "/" in path and method != "OPTIONS" else {200, 204, 400}
                assert answer.status_code in (found if served else {405}), (path, method, answer.content)
            elif expected(path, method, resource, scopes) != "open":
                assert granted(answer) == expected(path, method, resource, scopes), (path, method)


@pytest.mark.parametrize("scopes", [[], *([scope] for scope in Scope), list(Scope)], ids=str)
@pytest.mark.parametrize("accept", STREAMS)
def test_a_whole_list_needs_what_its_pages_need(world, scopes, accept):
    client = public_client(*scopes)
    for resource in Resource:
        for query in ("", "?deleted_after=2020-01-01", "?fields=id", "?updated_after=2020-01-01"):
            answer = client.get(f"/public/{resource}{query}", Accept=accept)
            text = text_of(answer)
            assert granted(answer) == expected(resource, "GET", resource, scopes), (resource, query)
            assert answer.status_code == 403 or answer["Content-Type"].startswith(accept)
            hidden = [mark(one) for one in Resource if not may_see(one, scopes)]
            assert not [one for one in hidden if one in text], (resource, query)


@pytest.mark.parametrize("accept", ["application/json", *STREAMS])
def test_what_is_embedded_needs_its_own_scope_too(world, accept):
    embedded = {
        (resource, name): needed for resource, names in EXPANDABLE.items() for name, needed in names.items()
    }
    for (resource, name), needed in embedded.items():
        for path in (resource, f"{resource}/{world.pks[resource]}"):
            if path != resource and accept != "application/json":
                continue
            address = f"/public/{path}?expand={name}"
            every_other = public_client(*(scope for scope in Scope if scope != needed))
            refused = every_other.get(address, Accept=accept)
            assert refused.status_code == 403
            assert f'scope="{needed}"' in refused["WWW-Authenticate"]
            assert mark(Resource(needed.partition(":")[0])) not in text_of(refused)
            allowed = public_client(f"{resource}:read", needed).get(address, Accept=accept)
            assert granted(allowed) == "open"
            shown = mark(Resource(needed.partition(":")[0])) in text_of(allowed)
            assert shown or (resource, name) == (Resource.CUSTOMERS, "campaign")  # this one has none
        unknown = every_other.get(f"/public/{resource}?expand=status", Accept=accept)
        assert unknown.status_code == 400


def test_neither_a_slash_nor_another_method_in_a_header_opens_more(world):
    client = public_client(Scope.TAGS_READ)
    before = everything()
    pk = world.pks[Resource.TAGS]
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert client.get(f"/public/tags/{pk}", **{header: "DELETE"}).status_code == 200
        assert client.post("/public/tags", {"name": "x"}, **{header: "GET"}).status_code == 403
    for path in (f"/public/tags/{pk}/", "/public/tags/?_method=DELETE"):
        assert client.request("DELETE", path).status_code in {403, 405}
    assert client.get("/public/leads/").status_code == 403
    assert everything() == before
