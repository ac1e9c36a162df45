"""`docs/recipes/hubspot.md`: what HubSpot's workflow action sends, and the program that tells HubSpot."""

import json
import re

import pytest
import requests

from leads.models import Lead
from leads.operations.statuses import change_status
from tests.leads.factories import LeadFactory, status_named
from tests.pages import Page
from tests.processes import Answer, wait_until
from tests.recipes.exchanges import shown
from tests.recipes.programs import serving
from tests.servers import free_port
from tests.webhooks.engines import running_engine, states
from webhooks.operations import subscribe

PAGE = Page("recipes/hubspot.md")
((REQUEST, _),) = shown(PAGE)
SECRET = "whsec_Y2FsbGl5by1leGFtcGxlLXNlY3JldC1ub3QtZm9yLXVzZSE="

# What the action sends with "Include all contact properties".
ALL_PROPERTIES = {
    "vid": 51,
    "canonical-vid": 51,
    "merged-vids": [],
    "portal-id": 62515,
    "is-contact": True,
    "properties": {
        "firstname": {"value": "Asha", "versions": [{"value": "Asha", "source-type": "CRM_UI"}]},
        "phone": {"value": "+91 98765 43210", "versions": []},
    },
    "form-submissions": [],
    "identity-profiles": [{"vid": 51, "identities": [{"type": "EMAIL", "value": "asha@example.com"}]}],
}


def test_the_request_gets_the_answer_that_the_page_shows(follow):
    _, conversation = follow(PAGE)
    assert conversation.hold(PAGE) == 1


def test_the_page_maps_the_keys_that_it_sends():
    mapped = re.findall(r"^\| `(\w+)` \|", PAGE.text, re.MULTILINE)
    assert mapped == list(json.loads(REQUEST.body))


@pytest.mark.parametrize(
    "change",
    [{}, {"external_id": "51"}, {"phone": 919876543210}, {"email": None, "source": ""}, {"email": ""}],
)
def test_numbers_texts_and_what_is_missing_are_all_understood(follow, change):
    client, _ = follow(PAGE)
    body = json.loads(REQUEST.body) | change
    path = REQUEST.start.split()[1]
    assert [client.post(path, body).status_code for _ in range(2)] == [201, 200]
    lead = Lead.objects.get()
    assert lead.phone == "+919876543210"
    assert client.get(f"/public/leads/{lead.pk}").json()["external_id"] == "51"


def test_all_properties_are_refused_by_their_names(follow):
    client, _ = follow(PAGE)
    refused = client.post(REQUEST.start.split()[1], ALL_PROPERTIES)
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")
    assert {"vid", "properties"} <= {error["field"] for error in refused.json()["errors"]}
    assert not Lead.objects.exists()


@pytest.fixture
def to_hubspot(follow, receiver, tmp_path):
    """The page's program, running; `receiver` is HubSpot. Gives the key and the webhook that points at it."""
    client, _ = follow(PAGE)
    port = free_port()
    (events,) = re.findall(r"the events (`.+`);", PAGE.text)
    webhook = subscribe(
        api_key=client.key, url=f"http://127.0.0.1:{port}/", secret=SECRET, skip_own=True,
        events=re.findall(r"`(.+?)`", events),
    )  # fmt: skip
    files = {
        "to_hubspot.py": PAGE.block("python"),
        "signature.py": Page("webhooks.md").block("python", under="Python"),
    }
    environment = {
        "HUBSPOT_API": f"http://127.0.0.1:{receiver.port}",
        "HUBSPOT_TOKEN": "pat-eu1-secret",
        "CALLIYO_SECRET": SECRET,
    }
    with serving("python", tmp_path, files, environment=environment, port=port):
        yield client, webhook


def test_the_program_writes_the_record_that_hubspot_named_and_upserts_others(to_hubspot, receiver):
    client, webhook = to_hubspot
    client.post(REQUEST.start.split()[1], json.loads(REQUEST.body))  # HubSpot's own: not sent back
    LeadFactory(first_name="Ravi", email="ravi@example.com")
    LeadFactory(first_name="Meera", email="")
    receiver.answer_next(Answer(status=429), Answer(status=200))
    with running_engine():
        change_status(leads=Lead.objects.filter(first_name="Asha"), to=status_named("Customer"))
        wait_until(lambda: states(webhook) == ["delivered"] * 3)
    received = receiver.wait_for(3)  # one twice; HubSpot hears nothing of who has no email address
    by_path = {(one.method, one.path): json.loads(one.body) for one in received}
    (asha,) = [body for (method, path), body in by_path.items() if path == "/crm/v3/objects/contacts/51"]
    assert asha["properties"]["hs_lead_status"] == "CONNECTED"
    (ravi,) = by_path["POST", "/crm/v3/objects/contacts/batch/upsert"]["inputs"]
    assert (ravi["id"], ravi["idProperty"]) == ("ravi@example.com", "email")
    assert (ravi["properties"]["firstname"], ravi["properties"]["hs_lead_status"]) == ("Ravi", "NEW")
    assert all(one.headers["authorization"] == "Bearer pat-eu1-secret" for one in received)


def test_the_program_refuses_what_calliyo_did_not_sign(to_hubspot, receiver):
    _, webhook = to_hubspot
    for headers in ({}, {"X-Calliyo-Signature": "t=1,v1=00"}):
        assert requests.post(webhook.url, data=b"{}", headers=headers, timeout=10).status_code == 401
    assert receiver.requests == []
