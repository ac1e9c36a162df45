"""`docs/recipes/n8n.md`: the pasted node's request, and the trigger that subscribes by itself, both run in Node.js."""

import json
import re
from pathlib import Path

import pytest
import requests

from leads.models import Lead
from leads.operations.statuses import change_status
from tests.leads.factories import LeadFactory, status_named
from tests.pages import Page
from tests.processes import wait_until
from tests.recipes.programs import run, serving
from tests.servers import free_port
from tests.webhooks.engines import running_engine
from webhooks.catalogue import EventType
from webhooks.models import Webhook

PAGE = Page("recipes/n8n.md")
(NODE,) = json.loads(PAGE.block("json"))["nodes"]
TRIGGER = PAGE.block("js")
in_node = pytest.mark.language("node")

# What n8n does with a parameter that begins with "=": each {{ … }} is JavaScript.
EXPRESSIONS = """
const { readFileSync } = require("node:fs");
const { templates, items } = JSON.parse(readFileSync(0, "utf8"));
const told = items.map(($json, $itemIndex) => templates.map((template) => template.slice(1).replace(
  /{{(.+?)}}(?!})/g,
  (_, code) => new Function("$json", "$itemIndex", "$execution", `return (${code})`)($json, $itemIndex, { id: "231" }),
)));
console.log(JSON.stringify(told));
"""
ITEMS = [
    {"id": 17, "name": "Asha", "phone": "98765 43210", "email": "asha@example.com"},
    {"id": "x-18", "name": "Ravi", "phone": "+91 98765 43211", "utm": "no field of ours"},
]


def requests_of_the_node(folder, address):
    """What the pasted node sends for `ITEMS`: url, headers, body."""
    parameters = NODE["parameters"]
    assert parameters["url"].startswith("https://crm.example.com/")
    url = parameters["url"].replace("https://crm.example.com", address)
    ((header,),) = [parameters["headerParameters"]["parameters"]]
    asked = {"templates": [parameters["jsonBody"], header["value"]], "items": ITEMS}
    told = run("node", folder, {"n8n.js": EXPRESSIONS}, environment={}, stdin=json.dumps(asked))
    for body, value in json.loads(told):
        yield url, {header["name"]: value, "Content-Type": "application/json"}, body


@in_node
def test_the_pasted_node_puts_leads_in_and_a_second_try_writes_nothing_twice(follow, live_server, tmp_path):
    client, _ = follow(PAGE)
    headers = {"Authorization": f"Bearer {client.token}"}
    answers = [
        requests.request(NODE["parameters"]["method"], url, data=body, headers=more | headers, timeout=10)
        for _ in range(2)
        for url, more, body in requests_of_the_node(tmp_path, live_server.url)
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert answers[0].content == answers[2].content and answers[1].content == answers[3].content
    assert [answer.json()["external_id"] for answer in answers[:2]] == ["17", "x-18"]
    assert set(Lead.objects.values_list("first_name", "source")) == {("Asha", "n8n"), ("Ravi", "n8n")}
    batch = {"leads": [json.loads(body) for _, _, body in requests_of_the_node(tmp_path, "")]}
    results = client.post("/public/leads/batch?on_duplicate=update", batch).json()["results"]
    assert [result["status"] for result in results] == [200, 200]


def test_the_trigger_knows_every_event():
    assert re.findall(r'"(\w+\.\w+)"', TRIGGER.partition("];")[0]) == [event.value for event in EventType]


@pytest.fixture
def n8n(follow, live_server, tmp_path):
    """n8n with the trigger in it; `ask("activate", …)` and so on."""
    client, _ = follow(PAGE, manage_webhooks=True)
    port = free_port()
    files = {
        "n8n.cjs": Path(__file__).with_name("n8n.cjs").read_text(),
        "CalliyoTrigger.node.js": TRIGGER,
        "signature.mjs": Page("webhooks.md").blocks("js")[0].text,
    }
    environment = {
        "CALLIYO": live_server.url, "TOKEN": client.token, "EVENTS": "lead.created,lead.status_changed",
    }  # fmt: skip

    def ask(what, **parameters):
        answer = requests.post(f"http://127.0.0.1:{port}/{what}", json=parameters or None, timeout=30)
        return answer.json()

    ask.client = client
    with serving("node", tmp_path, files, environment=environment, port=port):
        yield ask


@in_node
def test_the_trigger_subscribes_hears_verified_events_and_unsubscribes(n8n):
    assert n8n("exists") is False
    assert n8n("activate") is True and n8n("exists") is True
    webhook = Webhook.objects.get()
    assert (webhook.created_by_type, webhook.created_by_id) == ("api_key", n8n.client.key.pk)
    assert webhook.events == ["lead.created", "lead.status_changed"] and webhook.skip_own
    n8n.client.post("/public/leads", {"first_name": "Own", "phone": "9876543210"})  # not told: its own
    lead = LeadFactory(first_name="Asha")
    with running_engine():
        change_status(leads=Lead.objects.filter(pk=lead.pk), to=status_named("Busy"))
        wait_until(lambda: len(n8n("runs")["runs"]) >= 2)
    created, changed = n8n("runs")["runs"]
    assert (created["type"], created["data"]["lead"]["first_name"]) == ("lead.created", "Asha")
    assert changed["data"]["changes"]["status"]["to"]["name"] == "Busy"
    forged = requests.post(webhook.url, json=created, headers={"X-Calliyo-Signature": "t=1,v1=0"}, timeout=10)
    assert (forged.status_code, len(n8n("runs")["runs"])) == (401, 2)
    assert n8n("deactivate") is True
    assert not Webhook.objects.exists() and n8n("exists") is False
    assert n8n("runs")["staticData"] == {}


@in_node
def test_other_events_make_another_webhook_in_the_place_of_the_first(n8n):
    n8n("activate")
    first = Webhook.objects.get().pk
    assert n8n("exists", events=["lead.created"]) is False
    assert n8n("activate") is True and n8n("exists") is True
    webhook = Webhook.objects.get()
    assert webhook.pk != first and webhook.events == ["lead.created"]
    webhook.delete()
    assert n8n("exists") is False and n8n("activate") is True


@in_node
def test_what_goes_wrong_is_as_the_page_says(n8n):
    needs = n8n("activate", events=["call.completed"])
    assert needs.startswith("Calliyo answered 403") and "calls:read" in needs
    n8n.client.key.manage_webhooks = False
    n8n.client.key.save()
    refused = n8n("activate", events=["lead.created"])
    assert refused.startswith("Calliyo answered 403")
    assert not Webhook.objects.exists()
    title = n8n.client.post("/public/webhooks", {}).json()["title"]
    assert f"*{title}*" in PAGE.text
