"""The nine lists: their JSON, keyset pages in both directions, filters, and a fixed number of statements."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.models import APIKey
from apikeys.scopes import Resource, Scope
from calliyo.unit_of_work import unit_of_work
from leads.models import (
    Call,
    CallDirection,
    CallStatus,
    Campaign,
    FollowUp,
    Lead,
    LeadStatus,
    Note,
    StatusRole,
    Tag,
    User,
)
from tests.clients import fewest_statements, statements_of_a_list
from tests.leads.factories import LeadFactory, UserFactory, status_of

NOON = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)


def words(text):
    return text.split()


LEAD_FIELDS = words(
    "id version first_name last_name phone email status owner_id campaign_id source tags external_id "
    "created_at updated_at converted_at"
)


@pytest.fixture
def everything(db):
    """One row and more of each resource."""
    with unit_of_work():
        agent = UserFactory(name="Farheen Shaikh", phone="+919800000001")
        campaign = Campaign.objects.create(
            name="Diwali", status="active", starts_on=date(2026, 11, 1), ends_on=None
        )
        campaign.agents.add(agent, UserFactory())
        tags = [Tag.objects.create(name=name) for name in ("hot", "Diwali")]
        leads = [
            LeadFactory(owner=agent, campaign=campaign, source="web", tags=tags if n % 2 else [])
            for n in range(6)
        ]
        customer = leads[0]
        customer.status = status_of(StatusRole.CUSTOMER)
        customer.amount, customer.currency = Decimal(1499), "INR"
        customer.plan, customer.payment_status = "Gold", "paid"
        customer.save()
        for n, lead in enumerate(leads):
            at = NOON + timedelta(minutes=n)
            Call.objects.create(
                lead=lead,
                agent=agent,
                direction=CallDirection.OUTGOING,
                status=CallStatus.CALLED,
                started_at=at,
                ended_at=at + timedelta(seconds=61),
                duration_seconds=61,
                note="Spoke",
            )
            FollowUp.objects.create(lead=lead, due_at=at, owner=agent, note="Call again")
            Note.objects.create(
                lead=lead, text="Hello", author_type="user", author_id=agent.pk, author_name=agent.name
            )
    return agent, campaign, leads


def test_every_list_has_its_final_json(client_with, everything):
    agent, campaign, leads = everything
    client = client_with(*Scope)
    first = {r: client.get(f"/public/{r}", {"ordering": "id"}).json()["results"][0] for r in Resource}
    stamps = {"version", "created_at", "updated_at"}
    assert {name: list(row) for name, row in first.items()} == {
        "leads": LEAD_FIELDS,
        "customers": [*LEAD_FIELDS, "amount", "currency", "plan", "payment_status"],
        "users": words("id version name email phone employee_code role active created_at updated_at"),
        "lead-statuses": ["id", "version", "name", "position", "protected", "created_at", "updated_at"],
        "tags": ["id", "version", "name", "created_at", "updated_at"],
        "follow-ups": (
            words("id version lead_id due_at owner_id note status resolved_at created_at updated_at")
        ),
        "notes": ["id", "version", "lead_id", "text", "author", "created_at", "updated_at"],
        "calls": words(
            "id version lead_id agent_id direction status connected started_at ended_at duration_seconds "
            "note recording_url created_at updated_at"
        ),
        "campaigns": words("id version name status starts_on ends_on agent_ids created_at updated_at"),
    }
    assert all(stamps <= set(row) for row in first.values())
    customer = first["customers"]
    assert customer["id"] == leads[0].pk
    assert (customer["amount"], customer["currency"]) == ("1499.00", "INR")
    assert (customer["plan"], customer["payment_status"]) == ("Gold", "paid")
    assert customer["status"]["name"] == "Customer"
    assert customer["converted_at"] == leads[0].converted_at.isoformat(timespec="milliseconds")[:23] + "Z"
    assert first["campaigns"]["agent_ids"] == sorted(campaign.agents.values_list("pk", flat=True))
    assert first["campaigns"]["starts_on"] == "2026-11-01"
    assert first["calls"]["started_at"] == "2026-11-24T12:00:00.123Z"
    assert first["calls"]["connected"] is True
    assert first["follow-ups"]["status"] == "overdue"
    assert first["notes"]["author"] == {"type": "user", "id": agent.pk, "name": "Farheen Shaikh"}


@pytest.mark.parametrize(
    ("second", "spelled"),
    [
        ((0, 0), "2026-12-31T23:59:00.000Z"),
        ((1, 1_000), "2026-12-31T23:59:01.001Z"),
        ((9, 70_000), "2026-12-31T23:59:09.070Z"),
        ((59, 573_000), "2026-12-31T23:59:59.573Z"),
        ((59, 999_000), "2026-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_spelled_in_utc_with_three_digits(client_with, db, second, spelled):
    lead = LeadFactory(status=status_of(StatusRole.CUSTOMER))
    at = datetime(2026, 12, 31, 23, 59, *second, tzinfo=UTC)
    QuerySet.update(Lead.objects.filter(pk=lead.pk), created_at=at, updated_at=at, converted_at=at)
    client = client_with("leads:read", "customers:read")
    for path in ("leads", "customers", f"leads/{lead.pk}"):
        answer = client.get(f"/public/{path}").json()
        row = answer["results"][0] if "results" in answer else answer
        assert {row[name] for name in ("created_at", "updated_at", "converted_at")} == {spelled}


@pytest.mark.parametrize("resource", list(Resource))
def test_one_object_is_as_in_its_list_with_an_etag(client_with, everything, resource):
    client = client_with(f"{resource}:read")
    row = client.get(f"/public/{resource}").json()["results"][0]
    answer = client.get(f"/public/{resource}/{row['id']}")
    assert answer.json() == row
    assert answer["Content-Type"] == "application/json"
    assert answer["ETag"].startswith(f'"{row["version"]}.')
    same = client.get(f"/public/{resource}/{row['id']}", If_None_Match=f'"x", W/{answer["ETag"]}')
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", answer["ETag"])
    assert client.get(f"/public/{resource}/{row['id']}", If_None_Match="*").status_code == 304
    assert client.get(f"/public/{resource}/{row['id']}", If_None_Match='"1.0"').status_code == 200
    head = client.request("HEAD", f"/public/{resource}/{row['id']}")
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", answer["ETag"])
    assert client.get(f"/public/{resource}/{row['id']}/").json() == row


@pytest.mark.parametrize("resource", list(Resource))
@pytest.mark.parametrize("pk", ["0", "999999", "abc", "1.5", "-1", "10" * 16, "%00", "%FF", "٣", "1e3"])
def test_what_is_no_id_is_not_found(client_with, resource, pk):
    answer = client_with(f"{resource}:read").get(f"/public/{resource}/{pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.django_db(transaction=True)  # within one, who writes at the cluster is told as it was at first
@pytest.mark.parametrize("resource", list(Resource))
def test_a_list_takes_a_fixed_number_of_statements(
    client_with, everything, resource, django_assert_num_queries
):
    client = client_with(f"{resource}:read")
    APIKey.objects.update(last_used_at=timezone.now())
    for limit in (1, 200):
        read = partial(client.get, f"/public/{resource}", {"limit": limit})
        wanted = statements_of_a_list()
        assert fewest_statements(read, at_most=wanted) == wanted
        assert read().status_code == 200
    with django_assert_num_queries(2):
        client.get(f"/public/{resource}/{everything[2][0].pk}")


@pytest.mark.parametrize("resource", list(Resource))
def test_a_walk_by_next_and_back_by_previous_sees_every_row_once(client_with, everything, resource):
    client = client_with(f"{resource}:read")
    for ordering in ("id", "-id", "created_at", "-updated_at"):
        whole = client.get(f"/public/{resource}", {"ordering": ordering, "limit": 200}).json()
        assert (whole["next"], whole["previous"]) == (None, None)
        ids = [row["id"] for row in whole["results"]]
        pages = walk(client, f"/public/{resource}?limit=2&ordering={ordering}", "next")
        assert [pk for page in pages for pk in page] == ids
        last = client.get(f"/public/{resource}?limit=2&ordering={ordering}").json()
        while last["next"]:
            last = client.get(last["next"]).json()
        back = [[row["id"] for row in last["results"]], *walk(client, last["previous"], "previous")]
        assert [pk for page in reversed(back) for pk in page] == ids


def walk(client, address, way):
    pages = []
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        pages.append([row["id"] for row in body["results"]])
        address = body[way]
    return pages


def test_rows_that_come_and_go_never_shift_a_page(client_with, db):
    leads = LeadFactory.create_batch(6)
    client = client_with("leads:read")
    first = client.get("/public/leads", {"limit": 2, "ordering": "id"}).json()
    leads[0].delete()
    leads[3].delete()
    LeadFactory()
    seen = [row["id"] for row in client.get(first["next"]).json()["results"]]
    assert seen == [leads[2].pk, leads[4].pk]


def test_a_page_behind_the_last_row_leads_back(client_with, db):
    leads = LeadFactory.create_batch(3)
    client = client_with("leads:read")
    first = client.get("/public/leads", {"limit": 2, "ordering": "id"}).json()
    leads[2].delete()
    empty = client.get(first["next"]).json()
    assert (empty["results"], empty["next"]) == ([], None)
    assert client.get(empty["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize("ordering", ["id", "-id", "created_at", "-created_at", "updated_at", "-updated_at"])
def test_a_page_is_one_range_of_an_index_however_deep_it_is(client_with, db, ordering):
    LeadFactory.create_batch(3)
    client = client_with("leads:read")
    address = client.get("/public/leads", {"limit": 1, "ordering": ordering}).json()["next"]
    plan = "\n".join(plan_of_page(client, address))
    if connection.vendor == "postgresql":
        assert "Sort" not in plan
        assert "Index Cond: (ROW(" in plan or "Index Cond: (id" in plan
    else:
        assert "TEMP B-TREE" not in plan
        assert "SEARCH leads_lead USING" in plan


def plan_of_page(client, address):
    """How the database reads this page (its statement is the one with a LIMIT)."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    (page,) = [query["sql"] for query in queries if "LIMIT 2" in query["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {page}")
            return [row[0] for row in cursor.fetchall()]
        cursor.execute(f"EXPLAIN QUERY PLAN {page}".replace("%", "%%"))
        return [row[3] for row in cursor.fetchall()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_edited_cursor_is_refused(client_with, data):
    if not Lead.objects.exists():
        LeadFactory.create_batch(3)
    client = client_with("leads:read")
    address = client.get("/public/leads", {"limit": 1}).json()["next"]
    start, _, cursor = address.partition("cursor=")
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="ascii", categories=["L", "N"]))
    edited = cursor[:place] + other + cursor[place + 1 :]
    answer = client.get(f"{start}cursor={edited}")
    assert (answer.status_code == 200) == (edited == cursor)
    if edited != cursor:
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1))
def test_any_other_text_is_no_cursor(client_with, text):
    answer = client_with("leads:read").get("/public/leads", {"cursor": text})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "cursor"


def test_a_cursor_holds_for_its_list_filters_and_ordering_only(client_with, everything):
    client = client_with(*Scope)
    address = client.get("/public/leads", {"limit": 1, "source": "web"}).json()["next"]
    cursor = address.partition("cursor=")[2]
    assert client.get(f"/public/leads?limit=5&source=web&cursor={cursor}").status_code == 200
    for other in (
        f"/public/customers?source=web&cursor={cursor}",
        f"/public/leads?cursor={cursor}",
        f"/public/leads?source=form&cursor={cursor}",
        f"/public/leads?source=web&ordering=id&cursor={cursor}",
    ):
        answer = client.get(other)
        assert answer.status_code == 400, other
        assert answer.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "abc", "1e2", "9" * 5000, "٣", " 5"])
def test_a_limit_is_from_1_to_200(client_with, limit):
    answer = client_with("tags:read").get("/public/tags", {"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("resource", list(Resource))
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("nonsense=1", "nonsense"),
        ("updated_since=2026-01-01", "updated_since"),
        ("ordering=name%00", "ordering"),
        ("ordering=phone", "ordering"),
        ("ordering=--id", "ordering"),
        ("ordering=-updated_at&updated_after=2026-01-01", "ordering"),
        ("created_after=yesterday", "created_after"),
        ("created_after=0000-01-01T00:00:00Z", "created_after"),
        ("created_after=99999-01-01T00:00:00Z", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B23:00", "created_after"),
        ("created_after=2026-11-24T10:00:00", "created_after"),
        ("created_after=2026-02-30", "created_after"),
        ("updated_before=%ff", "updated_before"),
        ("created_before=", "created_before"),
        ("limit=1&limit=2", "limit"),
        ("cursor=&limit=1", "cursor"),
        ("a%00b=1", "a�b"),
    ],
)
def test_an_unknown_or_wrong_parameter_is_named(client_with, resource, query, field):
    answer = client_with(f"{resource}:read").get(f"/public/{resource}?{query}")
    assert answer.status_code == 400, answer.content
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_a_thousand_parameters_are_refused(client_with):
    answer = client_with("leads:read").get("/public/leads?" + "&".join(f"a{n}=1" for n in range(1500)))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("leads?status=Nonsense", "status"),
        ("leads?status=Interested&status=99999", "status"),
        ("leads?tag=unheard", "tag"),
        ("leads?owner_id=abc", "owner_id"),
        ("leads?owner_id=" + "9" * 30, "owner_id"),
        ("leads?owner_id=1&owner_id=x", "owner_id"),
        ("leads?phone=abc", "phone"),
        ("leads?source=" + "x" * 201, "source"),
        ("leads?" + "&".join("owner_id=1" for _ in range(51)), "owner_id"),
        ("users?role=boss", "role"),
        ("users?active=1", "active"),
        ("calls?status=ringing", "status"),
        ("calls?direction=up", "direction"),
        ("follow-ups?status=done", "status"),
        ("campaigns?status=over", "status"),
        ("customers?payment_status=never", "payment_status"),
    ],
)
def test_a_wrong_value_of_a_filter_is_named(client_with, path, field):
    answer = client_with(*Scope).get(f"/public/{path}")
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_leads_are_found_by_each_filter(client_with, everything):
    agent, campaign, leads = everything
    other = LeadFactory(first_name="Zubin", last_name="Irani", phone="+442071838750", email="Z@Example.com")
    client = client_with("leads:read")

    def found(query):
        answer = client.get(f"/public/leads?ordering=id&{query}")
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["results"]]

    ids = [lead.pk for lead in leads]
    customer = LeadStatus.objects.get(name="Customer").pk
    hot = Tag.objects.get(name="hot").pk
    assert found("status=customer") == ids[:1]
    assert found(f"status={customer}&status=Unassigned") == [*ids, other.pk]
    assert found(f"tag={hot}&tag=DIWALI") == ids[1::2]
    assert found("tag=Hot") == ids[1::2]
    assert found(f"owner_id={agent.pk}") == ids
    assert found(f"owner_id={agent.pk}&owner_id=0&campaign_id={campaign.pk}") == ids
    assert found("phone=%2B44%2020%207183%208750") == [other.pk]
    assert found("phone=+44 20 7183 8750") == [other.pk]
    assert found("email=z@example.com") == [other.pk]
    assert found("source=web") == ids
    assert found("search=zub+irani") == [other.pk]
    assert found("search=%2B44%2020%207183%208750") == [other.pk]
    assert found("search=nobody") == []
    assert found(f"created_after={leads[0].created_at:%Y-%m-%d}") == [*ids, other.pk]
    assert found("created_before=2020-01-01T00:00:00Z") == []
    assert found("created_after=2020-01-01T00:00:00 05:30") == [*ids, other.pk]


def test_the_other_lists_are_found_by_their_filters(client_with, everything):
    agent, _, leads = everything
    client = client_with(*Scope)

    def found(path):
        answer = client.get(f"/public/{path}")
        assert answer.status_code == 200, answer.content
        return len(answer.json()["results"])

    assert found("customers?converted_after=2020-01-01&payment_status=paid") == 1
    assert found("customers?payment_status=pending") == 0
    assert found("users?role=agent&active=true") == User.objects.filter(role="agent").count()
    assert found(f"users?email={agent.email.upper()}&employee_code={agent.employee_code}") == 1
    assert found("lead-statuses?name=interested") == 1
    assert found("tags?search=HO") == 1
    assert found(f"calls?lead_id={leads[0].pk}&lead_id={leads[1].pk}&status=called&status=busy") == 2
    assert found(f"calls?agent_id={agent.pk}&direction=outgoing&started_after=2026-11-24T12:03:00Z") == 3
    assert found("calls?started_before=2026-11-24T12:00:00.123Z") == 0
    assert found("follow-ups?status=overdue") == 6
    assert found("follow-ups?status=open") == 0
    assert found("follow-ups?status=resolved") == 0
    assert found(f"follow-ups?owner_id={agent.pk}&due_before=2026-11-24T12:01:00.123Z") == 1
    assert found(f"notes?lead_id={leads[0].pk}") == 1
    assert found("campaigns?status=active&name=diwali") == 1


def test_lead_statuses_come_in_the_pipelines_order(client_with, db):
    names = [
        row["name"]
        for row in client_with("lead-statuses:read").get("/public/lead-statuses").json()["results"]
    ]
    assert names[:3] == ["Unassigned", "Assigned", "Followups"]
    assert names[-1] == "Customer"


def test_users_names_are_for_keys_that_may_read_users(client_with, everything):
    rows = client_with("notes:read").get("/public/notes").json()["results"]
    assert {row["author"]["name"] for row in rows} == {None}
    assert {row["author"]["type"] for row in rows} == {"user"}


def test_a_lead_shows_each_key_its_own_external_id(client_with, db):
    one, other = client_with("leads:read", "leads:write"), client_with("leads:read")
    lead = one.post("/public/leads", {"first_name": "A", "phone": "9876543210", "external_id": "Z1"}).json()
    assert lead["external_id"] == "Z1"
    assert other.get(f"/public/leads/{lead['id']}").json()["external_id"] is None


def test_as_of_is_the_same_on_all_pages_of_a_walk(client_with, db):
    LeadFactory.create_batch(3)
    client = client_with("leads:read")
    page = client.get("/public/leads", {"limit": 1}).json()
    as_of = page["as_of"]
    while page["next"]:
        LeadFactory()
        page = client.get(page["next"]).json()
        assert page["as_of"] == as_of


def test_a_list_by_updated_after_ends_at_as_of(client_with, db):
    leads = LeadFactory.create_batch(4)
    start = leads[0].updated_at - timedelta(seconds=1)
    pause_until_next_millisecond()
    client = client_with("leads:read")
    query = {"limit": 2, "updated_after": start.isoformat()}
    first = client.get("/public/leads", query).json()
    leads[0].source = "changed while somebody reads"
    pause_until_next_millisecond()
    leads[0].save()
    second = client.get(first["next"]).json()
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert second["next"] is None
    assert set(ids) <= {lead.pk for lead in leads}
    again = client.get("/public/leads", {"updated_after": first["as_of"]}).json()  # all that share its moment
    seen = {row["id"]: row for row in [*first["results"], *second["results"], *again["results"]]}
    assert set(seen) == {lead.pk for lead in leads}
    assert seen[leads[0].pk]["source"] == leads[0].source


def pause_until_next_millisecond():
    now = timezone.now()
    while timezone.now() - now < timedelta(milliseconds=2):
        pass
