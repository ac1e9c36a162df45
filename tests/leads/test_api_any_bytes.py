"""Any bytes in path, query, headers or body: an answer of the contract's form below 500, nothing half written."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.scopes import Resource, Scope
from leads.models import Lead
from tests.clients import PublicClient, public_client
from webhooks.models import Event


def words(text: str) -> list[str]:
    return text.split()


LEAD_FIELDS = words("first_name last_name phone email status owner_id campaign_id source external_id tags")
PARAMETERS = words(
    "limit cursor ordering status tag owner_id phone email search created_after updated_before"
)
CONTENT_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/json; charset=\xff",
    ";;;",
)
OTHERS = [
    "/public/me",
    "/public/events",
    "/public/webhooks",
    "/public/openapi.json",
    "/public/docs",
    "/public/x",
]
paths = st.sampled_from([f"/public/{resource}" for resource in Resource] + OTHERS)
odd_texts = st.text() | st.sampled_from(["\0", "�", "9" * 400, "-1", "1e400", "%", "' OR 1=1 --"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=5,
)
relaxed = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def client(db) -> PublicClient:
    return public_client(*Scope, manage_webhooks=True)


def assert_answered(answer, *, known: tuple[int, ...] = (200, 201, 204, 304)):
    assert answer.status_code < 500, answer.content
    if answer.status_code in known:
        return
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert list(body)[-7:] == ["type", "title", "status", "code", "detail", "errors", "request_id"]
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer["X-Request-Id"]


@relaxed
@given(path=paths, end=st.none() | odd_texts)
def test_any_path(client, path, end):
    assert_answered(client.get(path if end is None else f"{path}/{end}"))


@relaxed
@given(
    path=paths,
    query=st.dictionaries(st.sampled_from(PARAMETERS) | odd_texts, st.lists(odd_texts, max_size=3)),
)
def test_any_query(client, path, query):
    assert_answered(client.get(path, query))


@relaxed
@given(path=paths, query=st.binary(max_size=100))
def test_any_bytes_in_the_query(client, path, query):
    assert_answered(client.request("GET", path, QUERY_STRING=query.decode("latin-1")))


@relaxed
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT", "DELETE", "GET"]),
    end=st.sampled_from(["", "/1"]),
    body=st.binary(max_size=200),
    content_type=st.sampled_from(CONTENT_TYPES),
)
def test_any_bytes_in_the_body(client, method, end, body, content_type):
    assert_answered(client.request(method, f"/public/leads{end}", body, content_type))
    assert Lead.objects.count() == Event.objects.filter(type="lead.created").count()


@relaxed
@given(lead=st.dictionaries(st.sampled_from(LEAD_FIELDS) | odd_texts, json_values, max_size=6))
def test_any_json_in_the_fields_of_a_lead(client, lead):
    for sent in (lead, {"first_name": "Asha", "phone": "9876543210"} | lead):
        assert_answered(client.post("/public/leads", sent))
    assert Lead.objects.count() == Event.objects.filter(type="lead.created").count()
    Lead.objects.all().delete()
    Event.objects.all().delete()


@relaxed
@given(
    name=st.sampled_from(
        ["If-None-Match", "If-Match", "Accept", "X-Forwarded-For", "Origin", "Idempotency-Key"]
    ),
    value=st.text(st.characters(codec="latin-1", exclude_characters="\r\n")),
)
def test_any_header(client, name, value):
    lead = Lead.objects.first()
    if lead is None:
        client.post("/public/leads", {"first_name": "Asha", "phone": "9876543210"})
        lead = Lead.objects.get()
    path = f"/public/leads/{lead.pk}"
    assert_answered(client.request("GET", path, headers={name: value}))
    assert_answered(client.request("PATCH", path, b"{}", headers={name: value}))
