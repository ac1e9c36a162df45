"""The API's description: valid, current, whole, and true of its own examples."""

import ast
import re
from itertools import chain

import pytest
import yaml
from django.test import Client, override_settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from apikeys.checks import public_routes
from apikeys.permissions import ANY_KEY, OPEN, AnyOf, needed_scopes
from apikeys.scopes import Scope
from calliyo.api.problems import DOMAIN_STATUS
from calliyo.errors import DomainError
from calliyo.reference.document import SOMEWHERE, document_for
from calliyo.reference.errors import ERRORS, by_status
from leads.api.urls import router
from tests.clients import public_client
from tests.processes import ROOT
from webhooks.catalogue import CATALOGUE
from webhooks.models import Event


@pytest.fixture(scope="module")
def document():
    return document_for(SOMEWHERE)


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def resolved(document, told):
    while "$ref" in told:
        kind, name = told["$ref"].removeprefix("#/components/").split("/")
        told = document["components"][kind][name]
    return told


def validator(document, schema):
    registry = Registry().with_resource("urn:doc", DRAFT202012.create_resource(document))
    whole = {**schema, "$id": "urn:doc:one"}
    text = re.sub(r"'#/components", "'urn:doc#/components", repr(whole))
    return Draft202012Validator(yaml.safe_load(text), registry=registry)


def test_the_document_is_valid(document):
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_the_tracked_document_is_what_the_code_says(document):
    assert yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text()) == document, "make openapi"


def test_every_route_and_method_is_described(document):
    described = {(path, method) for path, method, _ in operations(document)}
    for route, view in public_routes():
        if view.resource is OPEN:
            continue
        path = "/" + route.replace("(?P<pk>[^/]+)", "{id}").replace("^", "").replace("/?$", "").replace(
            "\\", ""
        )
        assert any(known == path for known, _ in described), path
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert {"list_leads", "get_lead", "create_lead", "update_lead", "create_leads", "list_events"} <= set(ids)


def test_each_operation_names_the_scope_that_it_needs(document):
    views = {}
    for route, view in public_routes():
        path = "/" + route.replace("(?P<pk>[^/]+)", "{id}").replace("^", "").replace("/?$", "").replace(
            "\\", ""
        )
        views[path] = view
    for path, method, operation in operations(document):
        resource = views[path].resource
        needed = () if resource is ANY_KEY else needed_scopes(resource, method.upper())
        told = operation["x-required-scope"]
        assert (told if isinstance(told, list) else [told] if told else []) == list(needed)
        assert all(scope in operation["description"] for scope in needed)
        assert operation["security"] == [{"token": []}]
        assert (len(needed) > 1) == isinstance(resource, AnyOf)


@pytest.mark.parametrize("kind", ["list", "retrieve"])
def test_every_parameter_that_a_list_knows_is_described(document, kind):
    for path, view, _ in router.registry:
        known = {"fields"} | ({"expand"} if view.expandable() else set())
        if kind == "list":
            known |= view.filters.names() | {"ordering", "limit", "cursor", "deleted_after", "deleted_before"}
        told = document["paths"][f"/public/{path}{'/{id}' if kind == 'retrieve' else ''}"]["get"][
            "parameters"
        ]
        assert {one["name"] for one in told if one.get("in") == "query"} == known


def test_each_body_takes_every_encoding_that_its_view_reads(document):
    for path, method, operation in operations(document):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            forms = (
                set()
                if path == "/public/leads/batch"
                else {"application/x-www-form-urlencoded", "multipart/form-data"}
            )
            assert set(content) == {"application/json"} | forms, (path, method)


def test_each_operation_has_an_example_and_each_error_one_of_its_own(document):
    for path, method, operation in operations(document):
        for status, told in operation["responses"].items():
            answer = resolved(document, told)
            assert "X-Request-Id" in answer["headers"], (path, method, status)
            for media_type, content in answer.get("content", {}).items():
                assert content.get("examples"), (path, method, status, media_type)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], (path, method)
        assert {"400", "401", "403", "406", "429", "500", "503"} <= set(operation["responses"])


def test_the_examples_are_what_their_schemas_say(document):
    bodies = (
        content
        for _, _, operation in chain(operations(document), webhook_operations(document))
        for told in (*operation["responses"].values(), operation.get("requestBody", {}))
        for content in resolved(document, told).get("content", {}).values()
    )
    checked = 0
    for content in bodies:
        for example in content.get("examples", {}).values():
            value = resolved(document, example)["value"]
            faults = list(validator(document, content["schema"]).iter_errors(value))
            assert not faults, faults[0]
            checked += 1
    assert checked > 200


def webhook_operations(document):
    return ((name, "post", item["post"]) for name, item in document["webhooks"].items())


def test_the_nine_events_are_there_with_real_bodies(document):
    assert list(document["webhooks"]) == [kind.value for kind in CATALOGUE]
    for name, _, operation in webhook_operations(document):
        [example] = operation["requestBody"]["content"]["application/json"]["examples"].values()
        assert example["value"]["type"] == name
        assert operation["x-required-scope"] == CATALOGUE[name].scope
        assert {"webhook-id", "X-Calliyo-Signature"} <= {one["name"] for one in operation["parameters"]}


def test_a_real_event_is_what_the_document_says(document, db):
    client = public_client(*Scope)
    client.post("/public/leads", {"first_name": "Asha", "phone": "9876543210", "tags": ["hot"]})
    client.patch(
        f"/public/leads/{client.get('/public/leads').json()['results'][0]['id']}", {"source": "fair"}
    )
    events = client.get("/public/events").json()["results"]
    assert len(events) == Event.objects.count() == 2
    schema = validator(document, {"$ref": "#/components/schemas/Event"})
    for event in events:
        assert not list(schema.iter_errors(event))
    assert list(schema.iter_errors(events[1] | {"type": "lead.created", "data": {}}))


def test_the_errors_bear_the_status_that_their_rules_have():
    for code, kind in ERRORS.items():
        if code in DOMAIN_STATUS:
            assert kind.status == DOMAIN_STATUS[code], code
    rules = [rule for _, view, _ in router.registry for rule in view.refusals]
    assert rules
    assert {rule.code for rule in rules} <= ERRORS.keys()


def test_an_error_that_nobody_explained_stops_the_document():
    class NewRule(DomainError):
        code = "never_explained"

    with pytest.raises(KeyError, match="never_explained"):
        by_status(iter([NewRule.code]))


# ── Served ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_anybody_gets_the_document_for_the_host_that_he_asked(client, db):
    answer = client.get("/public/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json()["servers"] == [{"url": "http://testserver"}]
    example = answer.json()["components"]["examples"]["duplicate_phone"]["value"]
    assert example["type"] == "http://testserver/public/docs#duplicate_phone"
    again = client.get("/public/openapi.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_document_can_only_be_read(db):
    client = Client(enforce_csrf_checks=True)  # as a program is: it has no form's token
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)("/public/openapi.json")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
        assert answer.json()["code"] == "method_not_allowed"


@override_settings(ALLOWED_HOSTS=["testserver"])
def test_a_host_that_is_not_ours_is_told_nothing(client, db):
    answer = client.get("/public/openapi.json", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def codes_in(path):
    """The codes of the problems that this module's text makes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Refusal", "Problem"}:
            yield from (
                one.value.value
                for one in node.keywords
                if one.arg == "code" and isinstance(one.value, ast.Constant)
            )


def test_every_code_that_the_api_answers_with_is_explained():
    folders = ("calliyo/api", "apikeys", "leads/api", "webhooks/api")
    modules = [path for folder in folders for path in (ROOT / folder).glob("*.py")]
    codes = {code for path in modules for code in codes_in(path)}
    assert {"invalid_cursor", "too_large", "address_not_allowed", "webhooks_not_allowed"} <= codes
    assert codes <= ERRORS.keys()
