"""`docs/recipes/zoho.md`: the very bodies that Zoho CRM's workflow webhooks send, and what its function reads."""

import hashlib
import hmac
import json
import re

import pytest
import requests

from leads.models import Lead
from leads.operations.conversion import convert_leads
from leads.operations.statuses import change_status
from tests.leads.factories import LeadFactory, status_named
from tests.pages import Page
from tests.recipes.exchanges import shown
from tests.webhooks.engines import running_engine
from webhooks.operations import subscribe

PAGE = Page("recipes/zoho.md")
((REQUEST, _),) = shown(PAGE)
FIELDS = dict(re.findall(r"([a-z_]+)=([^&]*)", REQUEST.body))
SECRET = "whsec_Y2FsbGl5by1leGFtcGxlLXNlY3JldC1ub3QtZm9yLXVzZSE="


@pytest.fixture
def zoho(follow, live_server):
    """Sends as Zoho does: a form in either encoding, or JSON."""
    client, _ = follow(PAGE)

    def send(**body):
        address = f"{live_server.url}{REQUEST.start.split()[1]}"
        return requests.post(address, headers={"Authorization": f"Bearer {client.token}"}, timeout=10, **body)

    send.client = client
    return send


def test_the_request_gets_the_answer_that_the_page_shows(follow):
    _, conversation = follow(PAGE)
    assert conversation.hold(PAGE) == 1


def test_the_page_maps_the_parameters_that_it_sends():
    mapped = set(re.findall(r"^\| `(\w+)` \|", PAGE.text, re.MULTILINE))
    assert mapped - {"tags"} == set(FIELDS)


@pytest.mark.parametrize("encoding", ["form", "multipart", "json"])
def test_every_body_type_of_zoho_needs_no_glue(zoho, encoding):
    values = {
        "external_id": "5725767000000533001",
        "first_name": "Asha Verma",
        "phone": "098765 43210",
        "email": "",  # an empty field of Zoho's
        "source": "Web Download",
    }
    unknown = {"utm_source": "google"} if encoding != "json" else {}
    body = {
        "form": {"data": values | unknown},
        "multipart": {"files": {name: (None, value) for name, value in (values | unknown).items()}},
        "json": {"json": values},
    }[encoding]
    first, again = zoho(**body), zoho(**body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json().get("ignored_fields", []) == list(unknown)
    lead = Lead.objects.get()
    assert (lead.phone, lead.email, lead.source) == ("+919876543210", "", "Web Download")


def test_an_edit_finds_the_lead_by_its_zoho_id_and_leaves_what_callers_did(zoho):
    zoho(data={"external_id": "1", "first_name": "Asha", "phone": "9876543210"})
    change_status(leads=Lead.objects.all(), to=status_named("Busy"))
    edited = zoho(data={"external_id": "1", "first_name": "Asha V", "phone": "9876543211"})
    assert (edited.status_code, edited.json()["phone"]) == (200, "+919876543211")
    assert edited.json()["status"]["name"] == "Busy"
    assert Lead.objects.count() == 1


def test_what_goes_wrong_is_as_the_page_says(zoho, follow):
    assert zoho(data={"first_name": "Asha", "phone": ""}).json()["errors"][0]["field"] == "phone"
    zoho(data={"external_id": "1", "first_name": "Asha", "phone": "9876543210"})
    zoho(data={"external_id": "2", "first_name": "Ravi", "phone": "9876543211"})
    taken = zoho(data={"external_id": "2", "first_name": "Ravi", "phone": "9876543210"})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_phone")
    assert taken.json()["existing_id"] == Lead.objects.get(first_name="Asha").pk
    tagged = {"external_id": "3", "first_name": "Meera", "phone": "9876543212", "tags": "zoho"}
    assert zoho(data=tagged).json()["errors"][0]["field"] == "tags"
    narrow, _ = follow(PAGE)
    narrow.key.scopes = ["leads:write"]
    narrow.key.save()
    refused = narrow.post("/public/leads?on_duplicate=update", {"first_name": "A", "phone": "9876543219"})
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_the_function_reads_what_calliyo_sends_and_compares_what_calliyo_signs(zoho, receiver):
    events = re.search(r"the events (`.+?`) and (`.+?`)", PAGE.text)
    assert events is not None
    subscribe(
        api_key=zoho.client.key, url=receiver.url, secret=SECRET, skip_own=True,
        events=[event.strip("`") for event in events.groups()],
    )  # fmt: skip
    zoho(data={"external_id": "1", "first_name": "Asha", "phone": "9876543210"})  # its own, so not sent back
    other = LeadFactory()
    with running_engine():
        change_status(leads=Lead.objects.filter(phone="+919876543210"), to=status_named("Busy"))
        convert_leads(leads=Lead.objects.filter(pk=other.pk))
        received = receiver.wait_for(3)
    code = PAGE.block("java")
    bodies = [json.loads(one.body) for one in received]
    assert {body["type"] for body in bodies} == {"lead.status_changed", "lead.converted"}
    assert {body["data"]["lead"]["external_id"] for body in bodies} == {"1", None}
    for one, body in zip(received, bodies, strict=True):
        for name in re.findall(r'lead\.get\("(\w+)"\)', code):
            assert name in body["data"]["lead"]
        assert body["data"]["lead"]["status"]["name"]
        header = one.headers["x-calliyo-signature"]
        sent = header.split(",")[0].replace("t=", "", 1)
        digest = hmac.new(SECRET.encode(), f"{sent}.".encode() + one.body, hashlib.sha256).hexdigest()
        assert "v1=" + digest in header
