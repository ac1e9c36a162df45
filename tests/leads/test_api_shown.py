"""How lists show their rows: `fields`, `expand` under scope, what is gone, and pages that did not change."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apikeys.models import APIKey
from apikeys.scopes import Resource, Scope
from calliyo.api.lists import Listing
from leads.api.urls import router
from leads.models import Call, CallStatus, Campaign, Deletion, FollowUp, Lead, Note, StatusRole, Tag
from tests.clients import statements_of_a_list
from tests.leads.factories import LeadFactory, UserFactory, status_of

VIEWSETS = {viewset.resource: viewset for _, viewset, _ in router.registry}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def lead(db):
    owner = UserFactory(name="Farheen Shaikh")
    campaign = Campaign.objects.create(name="Diwali", status="active")
    campaign.agents.add(owner)
    lead = LeadFactory(owner=owner, campaign=campaign, tags=[Tag.objects.create(name="hot")])
    lead.status = status_of(StatusRole.CUSTOMER)
    lead.save()
    Call.objects.create(lead=lead, agent=owner, status=CallStatus.CALLED, started_at=NOW)
    FollowUp.objects.create(lead=lead, owner=owner, due_at=NOW)
    Note.objects.create(lead=lead, text="Hello")
    return lead


def refusal(answer, status, field):
    assert answer.status_code == status, answer.content
    assert field in [error["field"] for error in answer.json()["errors"]]
    return answer.json()


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resource", list(Resource))
def test_the_described_shape_is_what_is_answered(client_with, lead, resource):
    row = client_with(f"{resource}:read").get(f"/public/{resource}").json()["results"][0]
    assert set(row) == set(VIEWSETS[resource].shape.members())
    for name, field in VIEWSETS[resource].shape.members().items():
        if hasattr(field, "members") and row[name] is not None:
            assert set(row[name]) == set(field.members())


@pytest.mark.parametrize("resource", list(Resource))
def test_only_the_asked_fields_are_answered(client_with, lead, resource):
    client = client_with(f"{resource}:read")
    whole = client.get(f"/public/{resource}", {"limit": 1}).json()["results"][0]
    row = client.get(f"/public/{resource}", {"limit": 1, "fields": "updated_at, id"}).json()["results"][0]
    assert row == {"updated_at": whole["updated_at"], "id": whole["id"]}
    one = client.get(f"/public/{resource}/{whole['id']}", {"fields": "version"})
    assert one.json() == {"version": whole["version"]}
    assert one["ETag"].startswith(f'"{whole["version"]}.')


def test_fields_may_be_sent_one_by_one_as_generated_clients_do(client_with, lead):
    client = client_with("leads:read")
    address = "/public/leads?fields=id&fields=phone"
    assert client.get(address).json()["results"] == [{"id": lead.pk, "phone": lead.phone}]
    assert client.get(f"/public/leads/{lead.pk}?fields=id&fields=phone").json() == {
        "id": lead.pk,
        "phone": lead.phone,
    }
    refusal(client.get("/public/leads?fields=id&fields=colour"), 400, "fields")


@pytest.mark.parametrize("fields", ["nonsense", "id,", "id,,phone", "status.name", "ID"])
def test_an_unknown_field_is_refused_by_name(client_with, lead, fields):
    client = client_with("leads:read")
    refusal(client.get("/public/leads", {"fields": fields}), 400, "fields")
    refusal(client.get(f"/public/leads/{lead.pk}", {"fields": fields}), 400, "fields")


# ── expand ──────────────────────────────────────────────────────────────────────────────────────────────────

EXPANSIONS = [
    (resource, name, inner)
    for resource, viewset in VIEWSETS.items()
    for name, inner in viewset.expandable().items()
]


def test_what_can_be_expanded():
    assert {(resource.value, name) for resource, name, _ in EXPANSIONS} == {
        ("leads", "owner"),
        ("leads", "campaign"),
        ("customers", "owner"),
        ("customers", "campaign"),
        ("calls", "lead"),
        ("calls", "agent"),
        ("follow-ups", "lead"),
        ("follow-ups", "owner"),
        ("notes", "lead"),
    }


@pytest.mark.parametrize(("resource", "name", "inner"), EXPANSIONS)
def test_an_expanded_row_is_the_one_of_its_own_list(client_with, lead, resource, name, inner):
    client = client_with(f"{resource}:read", f"{inner.resource}:read")
    row = client.get(f"/public/{resource}", {"expand": name}).json()["results"][0]
    own = client.get(f"/public/{inner.resource}/{row[f'{name}_id']}").json()
    assert row[name] == own
    assert client.get(f"/public/{resource}/{row['id']}", {"expand": name}).json()[name] == own
    assert client.get(f"/public/{resource}", {"expand": name, "fields": "id"}).json()["results"] == [
        {"id": row["id"], name: own}
    ]


@pytest.mark.parametrize(("resource", "name", "inner"), EXPANSIONS)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-ndjson"])
def test_what_a_key_may_not_read_it_cannot_expand(client_with, lead, resource, name, inner, accept):
    others = [scope for scope in Scope if scope != f"{inner.resource}:read"]
    answer = client_with(*others).get(f"/public/{resource}", {"expand": name}, Accept=accept)
    body = refusal(answer, 403, "expand")
    assert body["code"] == "insufficient_scope"
    assert f'scope="{inner.resource}:read"' in answer["WWW-Authenticate"]
    assert f"{inner.resource}:read" in body["detail"]


def test_what_is_not_there_expands_to_null(client_with, db):
    lead = LeadFactory()
    client = client_with("leads:read", "users:read", "campaigns:read")
    row = client.get("/public/leads", {"expand": "owner,campaign"}).json()["results"][0]
    assert (row["id"], row["owner"], row["campaign"]) == (lead.pk, None, None)


@pytest.mark.parametrize("expand", ["status", "owner,", "owner.name", "owner_id"])
def test_an_unknown_expansion_is_refused_by_name(client_with, lead, expand):
    refusal(client_with(*Scope).get("/public/leads", {"expand": expand}), 400, "expand")


def test_an_expansion_takes_one_statement_however_many_rows_there_are(
    client_with, lead, django_assert_num_queries
):
    for _ in range(5):
        LeadFactory(owner=UserFactory(), campaign=lead.campaign)
    client = client_with("leads:read", "users:read", "campaigns:read")
    APIKey.objects.update(last_used_at=timezone.now())
    with django_assert_num_queries(statements_of_a_list(plain=False) + 2):  # owners, campaigns
        client.get("/public/leads", {"expand": "owner,campaign"})


# ── What is gone ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resource", list(Resource))
def test_what_is_deleted_is_told_where_it_was_and_nowhere_else(client_with, lead, resource):
    start = timezone.now() - timedelta(minutes=1)
    client = client_with(*Scope)
    query = {"deleted_after": start.isoformat()}
    assert client.get(f"/public/{resource}", query).json()["results"] == []
    gone = {
        Resource.LEADS: lead,
        Resource.CUSTOMERS: lead,
        Resource.USERS: lead.owner,
        Resource.LEAD_STATUSES: status_of(StatusRole.ASSIGNED),
        Resource.TAGS: lead.tags.get(),
        Resource.FOLLOW_UPS: lead.follow_ups.get(),
        Resource.NOTES: lead.notes.get(),
        Resource.CALLS: lead.calls.get(),
        Resource.CAMPAIGNS: lead.campaign,
    }[resource]
    pk = gone.pk
    gone.delete()
    wait_for_the_next_millisecond()
    answer = client.get(f"/public/{resource}", query).json()
    assert list(answer) == ["next", "previous", "as_of", "results"]
    (row,) = answer["results"]
    assert (row["id"], list(row)) == (pk, ["id", "deleted_at"])
    assert row["deleted_at"] <= answer["as_of"]
    told = {other for other in Resource if client.get(f"/public/{other}", query).json()["results"]}
    with_a_lead = {Resource.LEADS, Resource.CUSTOMERS, Resource.CALLS, Resource.FOLLOW_UPS, Resource.NOTES}
    assert told == (with_a_lead if gone is lead else {resource})


def test_who_ceased_to_be_a_customer_is_gone_from_customers_only(client_with, lead):
    lead.status = status_of(StatusRole.ASSIGNED)
    lead.save()
    wait_for_the_next_millisecond()
    client = client_with("leads:read", "customers:read")
    query = {"deleted_after": "2020-01-01"}
    assert [row["id"] for row in client.get("/public/customers", query).json()["results"]] == [lead.pk]
    assert client.get("/public/leads", query).json()["results"] == []


def test_what_is_gone_comes_in_order_in_pages_both_ways(client_with, db):
    tags = [Tag.objects.create(name=f"tag {n}") for n in range(5)]
    for tag in tags:
        tag.delete()
    Tag.objects.create(name="again").delete()
    wait_for_the_next_millisecond()
    client = client_with("tags:read")
    page = client.get("/public/tags", {"deleted_after": "2020-01-01", "limit": 2}).json()
    as_of, ids = page["as_of"], [row["id"] for row in page["results"]]
    while page["next"]:
        page = client.get(page["next"]).json()
        assert page["as_of"] == as_of
        ids += [row["id"] for row in page["results"]]
    assert ids == list(Deletion.objects.order_by("deleted_at", "id").values_list("object_id", flat=True))
    assert len(client.get(page["previous"]).json()["results"]) == 2


def test_the_limits_of_what_is_gone(client_with, db):
    tag = Tag.objects.create(name="a")
    pk = tag.pk
    tag.delete()
    wait_for_the_next_millisecond()
    at = Deletion.objects.get().deleted_at
    client = client_with("tags:read")

    def told(**query):
        return [row["id"] for row in client.get("/public/tags", query).json()["results"]]

    assert told(deleted_after=at.isoformat()) == [pk]
    assert told(deleted_after=(at + timedelta(milliseconds=1)).isoformat()) == []
    assert told(deleted_after="2020-01-01", deleted_before=at.isoformat()) == []
    assert told(deleted_after="2020-01-01", fields="id") == [pk]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("deleted_after=yesterday", "deleted_after"),
        ("deleted_after=", "deleted_after"),
        ("deleted_before=2026-01-01", "deleted_before"),
        ("deleted_after=2026-01-01&source=web", "source"),
        ("deleted_after=2026-01-01&updated_after=2026-01-01", "updated_after"),
        ("deleted_after=2026-01-01&ordering=-deleted_at", "ordering"),
        ("deleted_after=2026-01-01&ordering=id", "ordering"),
        ("deleted_after=2026-01-01&fields=phone", "fields"),
        ("deleted_after=2026-01-01&expand=owner", "expand"),
    ],
)
def test_what_is_gone_has_no_other_filters(client_with, query, field):
    refusal(client_with(*Scope).get(f"/public/leads?{query}"), 400, field)


def test_what_is_gone_needs_the_scope_of_what_was(client_with):
    answer = client_with("leads:read").get("/public/tags", {"deleted_after": "2020-01-01"})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


# ── Pages that did not change ───────────────────────────────────────────────────────────────────────────────


# Within a transaction, how far a list is complete may be told by its beginning.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("resource", list(Resource))
def test_a_page_that_did_not_change_is_not_sent_again(client_with, lead, resource):
    client = client_with(f"{resource}:read")
    first = client.get(f"/public/{resource}")
    wait_for_the_next_millisecond()
    again = client.get(f"/public/{resource}", If_None_Match=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["X-Calliyo-As-Of"] >= first.json()["as_of"]
    strong = first["ETag"].removeprefix("W/")
    assert client.get(f"/public/{resource}", If_None_Match=f'"other", {strong}').status_code == 304
    assert client.get(f"/public/{resource}", If_None_Match="*").status_code == 304
    assert client.get(f"/public/{resource}", If_None_Match='"other"').status_code == 200


def test_a_page_that_changed_or_got_a_next_one_is_sent(client_with, lead):
    client = client_with("leads:read")
    seen = client.get("/public/leads", {"limit": 1, "ordering": "id"})
    LeadFactory()
    grown = client.get("/public/leads", {"limit": 1, "ordering": "id"}, If_None_Match=seen["ETag"])
    assert grown.status_code == 200
    assert grown.json()["next"]
    Lead.objects.filter(pk=lead.pk).update(source="changed")
    changed = client.get("/public/leads", {"limit": 1, "ordering": "id"}, If_None_Match=grown["ETag"])
    assert changed.status_code == 200


def test_statements_of_pages_are_made_once_for_all_callers(client_with, lead, monkeypatch):
    one, other = client_with("leads:read", "leads:write"), client_with("leads:read")
    one.patch(f"/public/leads/{lead.pk}", {"external_id": "Z1"})
    for client, own in ((one, "Z1"), (other, None), (one, "Z1")):
        assert client.get("/public/leads").json()["results"][0]["external_id"] == own
        assert client.get(f"/public/leads/{lead.pk}").json()["external_id"] == own
    assert [row["id"] for row in one.get("/public/leads", {"external_id": "Z1"}).json()["results"]] == [
        lead.pk
    ]
    assert other.get("/public/leads", {"external_id": "Z1"}).json()["results"] == []

    def compiled_again(self):
        raise AssertionError("compiled again")

    monkeypatch.setattr(Listing, "rows", compiled_again)
    assert other.get("/public/leads").status_code == 200


def wait_for_the_next_millisecond():
    now = timezone.now()
    while timezone.now() - now < timedelta(milliseconds=2):
        pass
