"""Any body and `Idempotency-Key` for what can be written: an answer below 500, the same again, nothing half written."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.models import IdempotencyRecord
from apikeys.scopes import Scope
from leads.models import FollowUp, Lead, Note, Tag
from tests.clients import PublicClient, public_client
from tests.leads.factories import FollowUpFactory, LeadFactory, NoteFactory, TagFactory
from tests.leads.test_api_any_bytes import CONTENT_TYPES, LEAD_FIELDS, json_values, odd_texts
from webhooks.models import Event

WRITTEN = {
    "tags": (Tag, ["name"]),
    "follow-ups": (FollowUp, ["lead_id", "due_at", "owner_id", "note", "status"]),
    "notes": (Note, ["lead_id", "text"]),
}
relaxed = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
header_values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=300)
items = st.dictionaries(st.sampled_from(LEAD_FIELDS) | odd_texts, json_values, max_size=5)


@pytest.fixture
def client(db) -> PublicClient:
    return public_client(*Scope)


def assert_answered(answer):
    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@relaxed
@given(data=st.data(), resource=st.sampled_from(sorted(WRITTEN)))
def test_any_json_in_the_fields_of_what_can_be_written(client, data, resource):
    model, fields = WRITTEN[resource]
    sent = data.draw(st.dictionaries(st.sampled_from(fields) | odd_texts, json_values, max_size=4))
    row = {"tags": TagFactory, "follow-ups": FollowUpFactory, "notes": NoteFactory}[resource]()
    before = model.objects.count()
    made = client.post(f"/public/{resource}", sent)
    assert_answered(made)
    assert model.objects.count() == before + (made.status_code == 201)
    changed = client.patch(f"/public/{resource}/{row.pk}", sent)
    assert_answered(changed)
    grown = model.objects.get(pk=row.pk).version > row.version
    assert not grown or changed.status_code == 200


@relaxed
@given(
    batch=st.lists(items | json_values, max_size=4)
    | st.fixed_dictionaries({"leads": json_values})
    | json_values
)
def test_any_json_in_a_batch(client, batch):
    good = {"first_name": "Asha", "phone": "9876543210"}
    for sent in (batch, [good, *batch, good | {"phone": "9876543211"}] if isinstance(batch, list) else batch):
        before = Lead.objects.count()
        answer = client.post("/public/leads/batch", sent)
        assert_answered(answer)
        created = 0
        if answer.status_code == 200:
            created = sum(result["status"] == 201 for result in answer.json()["results"])
        assert Lead.objects.count() == before + created
    assert Lead.objects.count() == Event.objects.filter(type="lead.created").count()
    Lead.objects.all().delete()
    Event.objects.all().delete()


@relaxed
@given(
    path=st.sampled_from(["/public/leads", "/public/leads/batch", "/public/tags", "/public/users", "/public/leads/1"]),
    body=st.binary(max_size=80) | st.sampled_from([b'{"name": "x"}', b'[{"first_name": "A", "phone": "9876543210"}]']),
    content_type=st.sampled_from(CONTENT_TYPES),
    value=header_values,
)  # fmt: skip
def test_any_idempotency_key_with_any_body_is_answered_the_same_twice(
    client, path, body, content_type, value
):
    first, again = (
        client.request("POST", path, body, content_type, headers={"Idempotency-Key": value}) for _ in range(2)
    )
    assert_answered(first)
    assert again.status_code == first.status_code
    if "Idempotent-Replayed" in again:
        assert again.content == first.content
    IdempotencyRecord.objects.all().delete()


@relaxed
@given(origin=header_values, method=st.sampled_from(["OPTIONS", "POST", "GET"]))
def test_any_origin(client, origin, method):
    LeadFactory()
    answer = client.request(method, "/public/leads", "{}", headers={"Origin": origin})
    assert_answered(answer)
    Lead.objects.all().delete()
