"""The six lines of `docs/sync.md`, against real writes on whichever database there is."""

import json
import re
import time

import pytest
import requests

from apikeys.scopes import Resource, Scope
from leads.models import Lead, Note, StatusRole, Tag
from leads.operations.statuses import change_status
from tests.clients import public_client
from tests.copies import BEGINNING, SIX_LINES, Copy
from tests.leads.factories import LeadFactory, NoteFactory, status_of
from tests.pages import Page

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Page("sync.md")


@pytest.fixture
def copy_of(live_server):
    """`copy_of("leads")`: an empty copy of that list."""
    key = public_client(*Scope)
    copies = []

    def make(resource):
        copies.append(Copy(live_server.url, key.token, resource))
        return copies[-1]

    yield make
    for copy in copies:
        copy.__exit__()


def listed(client, resource):
    rows, page = [], client.get(f"/public/{resource}", {"limit": 200}).json()
    while True:
        rows += page["results"]
        if page["next"] is None:
            return {row["id"]: row for row in rows}
        page = client.get(page["next"]).json()


def test_they_are_six():
    assert len(SIX_LINES.splitlines()) == 6


def test_a_copy_is_whole_from_the_first_run_and_follows_every_way_of_writing(copy_of):
    client = public_client(*Scope)
    leads = LeadFactory.create_batch(30)
    Lead.objects.filter(pk=leads[0].pk).delete()  # before the first run
    copy = copy_of("leads")
    copy.run()
    everything = public_client("leads:read")
    assert copy.rows == listed(everything, "leads") and len(copy.rows) == 29
    tag = Tag.objects.create(name="hot")
    for write in (
        lambda: Lead.objects.update(source="bulk"),
        leads[1].delete,
        lambda: leads[2].tags.add(tag),
        lambda: Tag.objects.get().delete(),
        lambda: client.post("/public/leads", {"first_name": "New", "phone": "98765 43210"}),
        lambda: client.patch(f"/public/leads/{leads[3].pk}", {"email": "a@example.com"}),
        lambda: LeadFactory().delete(),
    ):
        write()
        time.sleep(0.002)
        copy.run()
        assert copy.rows == listed(everything, "leads")
    assert copy.run() <= 40  # what stands at the edge may come again, and nothing else


def test_a_customer_who_ceased_to_be_one_and_is_one_again_stays(copy_of):
    lead = LeadFactory()
    copy = copy_of("customers")

    def move(role):
        change_status(leads=Lead.objects.filter(pk=lead.pk), to=status_of(role))
        time.sleep(0.002)
        copy.run()
        return list(copy.rows)

    for _ in range(2):
        assert move(StatusRole.CUSTOMER) == [lead.pk]
        assert move(StatusRole.ASSIGNED) == []
    assert move(StatusRole.CUSTOMER) == [lead.pk]
    copy.place["deleted_after"] = BEGINNING  # every deletion once more: each is older than the row
    copy.run()
    assert list(copy.rows) == [lead.pk]


def test_every_list_that_the_page_names_does_this(copy_of):
    (named,) = re.findall(r"^Every list does this.*`(.+?)`\.$", PAGE.text, re.MULTILINE)
    assert set(named.split()) == set(Resource)
    note = NoteFactory()
    other = NoteFactory()
    client = public_client(*Scope)
    for resource in Resource:
        copy = copy_of(resource)
        copy.run()
        assert copy.rows.keys() == listed(client, resource).keys()
        if resource is Resource.NOTES:
            Note.objects.filter(pk=note.pk).delete()
            copy.run()
            assert list(copy.rows) == [other.pk]


def test_the_pages_request_and_parameters_are_those_of_the_server(live_server):
    LeadFactory()
    client = public_client("leads:read")
    request = PAGE.block("http").splitlines()[0].split()[1]
    page = client.get(request).json()
    assert list(page) == ["next", "previous", "as_of", "results"]
    for start in ("updated", "deleted"):
        month = f"{start}_after=2026-01-01T00:00:00Z&{start}_before=2026-02-01T00:00:00Z"
        assert client.get(f"/public/leads?{month}").status_code == 200
    assert client.get("/public/leads?updated_after=2026-01-01&ordering=id").status_code == 400
    assert client.get("/public/leads?fields=id,status,updated_at").status_code == 200
    tag = client.get("/public/leads").headers["ETag"]
    assert client.get("/public/leads", If_None_Match=tag).status_code == 304
    refused = requests.get(f"{live_server.url}/public/leads", timeout=10)
    assert refused.status_code == 401


def test_what_it_says_of_csv_holds(live_server):
    typed = ['=HYPERLINK("…")', "+919876543210", "-12.50"]
    for text in typed:
        LeadFactory(source=text)
    token = public_client("leads:read").token
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/csv"}
    query = {"fields": "source", "ordering": "id"}
    answer = requests.get(f"{live_server.url}/public/leads", query, headers=headers, timeout=10)
    lines = answer.content.decode().splitlines()
    assert lines[0] == "source" and lines[1].strip('"').replace('""', '"') == f"'{typed[0]}"
    assert lines[2:] == typed[1:]
    assert f"`{typed[0]}` comes as `'{typed[0]}`" in PAGE.text
    headers["Accept"] = "application/x-ndjson"
    answer = requests.get(f"{live_server.url}/public/leads", query, headers=headers, timeout=10)
    assert [line["source"] for line in map(json.loads, answer.iter_lines())] == typed
