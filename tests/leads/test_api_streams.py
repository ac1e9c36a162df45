"""Whole lists as one answer: NDJSON and CSV, with the filters and fields of pages, in flat memory."""

import csv
import io
import json
import tracemalloc

import pytest
from django.db import OperationalError, connection

from apikeys.scopes import Resource, Scope
from calliyo.api import streams
from calliyo.api.streams import harmless
from leads.models import Campaign, Lead, LeadStatus, Tag
from tests.leads.factories import LeadFactory, UserFactory

NDJSON, CSV = "application/x-ndjson", "text/csv"


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("calliyo.api.lists.BATCH", 3)


def body(answer):
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content).decode()


def objects(answer):
    return [json.loads(line) for line in body(answer).splitlines()]


def table(answer):
    return list(csv.DictReader(io.StringIO(body(answer), newline="")))


def pages(client, address):
    rows = []
    while address:
        page = client.get(address).json()
        rows += page["results"]
        address = page["next"]
    return rows


@pytest.mark.parametrize("resource", list(Resource))
@pytest.mark.parametrize(
    "query", ["", "?ordering=updated_at", "?updated_after=2020-01-01", "?fields=id,version"]
)
def test_a_stream_holds_what_the_pages_hold(client_with, small_batches, resource, query):
    LeadFactory.create_batch(8, owner=UserFactory(), campaign=Campaign.objects.create(name="Diwali"))
    client = client_with(f"{resource}:read")
    answer = client.get(f"/public/{resource}{query}", Accept=NDJSON)
    assert objects(answer) == pages(client, f"/public/{resource}{query}")
    rows = table(client.get(f"/public/{resource}{query}", Accept=CSV))
    assert [int(row["id"]) for row in rows] == [
        row["id"] for row in pages(client, f"/public/{resource}{query}")
    ]


def test_a_streams_headers(client_with, db):
    client = client_with("leads:read")
    LeadFactory()
    as_of = client.get("/public/leads").json()["as_of"]
    for accept, suffix in ((NDJSON, "ndjson"), (CSV, "csv")):
        answer = client.get("/public/leads", Accept=accept)
        assert answer["Content-Type"].startswith(accept)
        assert answer["Content-Disposition"].startswith('attachment; filename="calliyo-leads-20')
        assert answer["Content-Disposition"].endswith(f'.{suffix}"')
        assert answer["X-Calliyo-As-Of"] >= as_of
        assert answer["X-Request-Id"]
        assert "Accept" in answer["Vary"]
        head = client.request("HEAD", "/public/leads", headers={"Accept": accept})
        assert (head.status_code, b"".join(head.streaming_content)) == (200, b"")
        assert head["Content-Disposition"] == answer["Content-Disposition"]


def test_a_stream_is_filtered_and_expanded_like_a_page(client_with, small_batches, db):
    owner = UserFactory(name="Farheen Shaikh")
    LeadFactory.create_batch(7, source="web", owner=owner)
    LeadFactory.create_batch(3)
    client = client_with("leads:read", "users:read")
    query = "/public/leads?source=web&expand=owner&fields=id,phone"
    rows = objects(client.get(query, Accept=NDJSON))
    assert rows == pages(client, query)
    assert {row["owner"]["name"] for row in rows} == {"Farheen Shaikh"}
    assert len(rows) == 7
    first = table(client.get(query, Accept=CSV))[0]
    assert list(first)[:4] == ["id", "phone", "owner.id", "owner.version"]
    assert (first["owner.name"], first["phone"]) == ("Farheen Shaikh", rows[0]["phone"])


def test_what_is_gone_can_be_streamed(client_with, small_batches, db):
    for n in range(5):
        Tag.objects.create(name=f"tag {n}").delete()
    Lead.objects.exists()
    client = client_with("tags:read")
    rows = objects(client.get("/public/tags?deleted_after=2020-01-01", Accept=NDJSON))
    assert [list(row) for row in rows][:1] == [["id", "deleted_at"]]
    answer = client.get("/public/tags?deleted_after=2020-01-01", Accept=CSV)
    assert 'filename="calliyo-tags-deleted-' in answer["Content-Disposition"]
    assert [row["deleted_at"] for row in table(answer)][:1] == [rows[0]["deleted_at"]]


def test_csv_is_flat_and_has_its_header_even_without_rows(client_with, db):
    client = client_with("leads:read", "calls:read")
    assert body(client.get("/public/leads", Accept=CSV)).split("\r\n") == [
        (
            "id,version,first_name,last_name,phone,email,status.id,status.name,owner_id,campaign_id,source,tags,"
            "external_id,created_at,updated_at,converted_at"
        ),
        "",
    ]
    lead = LeadFactory(
        first_name='Asha "A", jr\nline',
        phone="+919876543210",
        tags=[Tag.objects.create(name=n) for n in "ab"],
    )
    (row,) = table(client.get("/public/leads", Accept=CSV))
    assert (row["first_name"], row["phone"], row["tags"]) == ('Asha "A", jr\nline', "+919876543210", "a;b")
    assert (row["status.name"], row["owner_id"], row["id"]) == (lead.status.name, "", str(lead.pk))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("+919876543210", "+919876543210"),
        ("-12.50", "-12.50"),
        ("+٣", "'+٣"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_no_spreadsheet_runs_what_somebody_typed(client_with, db, text, shown):
    assert harmless(text) == shown
    LeadFactory(source=text)
    assert table(client_with("leads:read").get("/public/leads", Accept=CSV))[0]["source"] == shown


@pytest.mark.parametrize("accept", [NDJSON, CSV])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=5", "limit"),
        ("cursor=abc", "cursor"),
        ("nonsense=1", "nonsense"),
        ("status=Nonsense", "status"),
        ("updated_after=x", "updated_after"),
        ("fields=x", "fields"),
    ],
)
def test_what_is_wrong_is_a_problem_before_the_first_byte(client_with, accept, query, field):
    answer = client_with("leads:read").get(f"/public/leads?{query}", Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    refused = client_with("tags:read").get("/public/leads", Accept=accept)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_a_database_that_goes_away_is_a_problem_first_and_a_broken_answer_later(
    client_with, small_batches, monkeypatch, db
):
    LeadFactory.create_batch(7)
    client = client_with("leads:read")
    answer = client.get("/public/leads", Accept=NDJSON)
    chunks = iter(answer.streaming_content)
    assert next(chunks)

    def gone(*_args, **_options):
        raise OperationalError("gone")

    monkeypatch.setattr("calliyo.api.lists.Statement.fetch", gone)
    with pytest.raises(OperationalError):
        next(chunks)
    monkeypatch.undo()
    monkeypatch.setattr("calliyo.api.lists.Listing._read", gone)
    assert client.get("/public/leads", Accept=NDJSON).status_code == 503


def test_only_lists_are_streamed(client_with, db):
    lead = LeadFactory()
    client = client_with(*Scope)
    assert client.get(f"/public/leads/{lead.pk}", Accept=CSV).status_code == 406
    assert client.get("/public/me", Accept=NDJSON).status_code == 406
    assert client.get("/public/leads", Accept="text/html, */*;q=0.1")["Content-Type"] == "application/json"


def test_between_two_pages_nothing_of_the_database_is_held(client_with, small_batches, db):
    LeadFactory.create_batch(7)
    open_before = len(connection.savepoint_ids)
    chunks = iter(client_with("leads:read").get("/public/leads", Accept=NDJSON).streaming_content)
    next(chunks)
    Lead.objects.all().delete()  # nothing waits for the reader, and what he has not read yet he does not get
    assert list(chunks) == [b""]
    assert len(connection.savepoint_ids) == open_before


def test_memory_stays_flat(client_with, monkeypatch, db):
    monkeypatch.setattr("calliyo.api.lists.BATCH", 100)
    status = LeadStatus.objects.first()
    Lead.objects.bulk_create(
        Lead(first_name="A" * 100, phone=f"+9199{n:08d}", status=status, source="x" * 100)
        for n in range(3000)
    )
    answer = client_with("leads:read").get("/public/leads", Accept=NDJSON)
    chunks = iter(answer.streaming_content)
    total = len(next(chunks))
    tracemalloc.start()
    total += sum(len(next(chunks)) for _ in range(5))
    _, early = tracemalloc.get_traced_memory()
    total += sum(len(chunk) for chunk in chunks)
    _, late = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 1_500_000
    assert late < early * 1.2


def test_a_stream_comes_in_pages_of_a_fixed_size():
    assert streams.BATCH == 1_000
