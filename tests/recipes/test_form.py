"""`docs/recipes/form.md`: its requests, and the same from a server in three languages. Chromium: `tests/browser/`."""

import json
import re
from urllib.parse import urlencode

import pytest
import requests

from apikeys.throttling import ADDRESS_RATE
from leads.models import Activity, Lead
from tests.pages import Page
from tests.recipes.programs import run, serving
from tests.servers import free_port

PAGE = Page("recipes/form.md")
GOOD = {"first_name": "Asha", "phone": "98765 43210", "email": ""}
BAD = {"first_name": "Asha", "phone": "12", "email": ""}


def test_the_requests_get_the_answers_that_the_page_shows(follow):
    _, conversation = follow(PAGE)
    assert conversation.hold(PAGE) == 2


@pytest.fixture
def environment(follow, live_server):
    """What the page's programs find in their environment."""
    client, _ = follow(PAGE)
    return {"CALLIYO": live_server.url, "TOKEN": client.token}


def assert_taken_in():
    lead = Lead.objects.get()
    assert (lead.first_name, lead.phone, lead.source) == ("Asha", "+919876543210", "website")


def test_python(environment, tmp_path):
    ask = "\nimport json, sys\nprint(json.dumps([take_in(form) for form in json.load(sys.stdin)]))\n"
    files = {"form.py": PAGE.block("python") + ask}
    good, bad = json.loads(
        run("python", tmp_path, files, environment=environment, stdin=json.dumps([GOOD, BAD]))
    )
    assert good == {} and list(bad) == ["phone"]
    assert_taken_in()


@pytest.mark.language("node")
def test_javascript(environment, tmp_path):
    ask = (
        '\nimport { readFileSync } from "node:fs";\nconst told = [];\n'
        'for (const form of JSON.parse(readFileSync(0, "utf8"))) told.push(await takeIn(form));\n'
        "console.log(JSON.stringify(told));\n"
    )
    files = {"form.mjs": PAGE.block("js") + ask}
    good, bad = json.loads(
        run("node", tmp_path, files, environment=environment, stdin=json.dumps([GOOD, BAD]))
    )
    assert good == {} and list(bad) == ["phone"]
    assert_taken_in()


@pytest.mark.language("php")
def test_php(environment, tmp_path):
    (tmp_path / "index.php").write_text(PAGE.block("php"))
    port = free_port()
    arguments = ["-S", f"127.0.0.1:{port}", "-t", str(tmp_path)]
    with serving("php", tmp_path, {}, environment=environment, port=port, arguments=arguments):
        good, bad = (requests.post(f"http://127.0.0.1:{port}/", form, timeout=30) for form in (GOOD, BAD))
    assert (good.status_code, good.text) == (202, "Thank you, we will call you.")
    assert (bad.status_code, "too few or too many digits" in bad.text) == (400, True)
    assert_taken_in()


def test_a_second_try_writes_nothing_twice_and_a_known_number_is_told_to_the_team_alone(follow):
    client, _ = follow(PAGE)
    first = client.post("/public/leads", GOOD, Idempotency_Key="a")
    again = client.post("/public/leads", GOOD, Idempotency_Key="a")
    assert again.content == first.content
    assert not Activity.objects.filter(kind="submitted_again").exists()
    other = client.post("/public/leads", BAD, Idempotency_Key="a")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert client.post("/public/leads", GOOD | {"last_name": "Verma"}, Idempotency_Key="b").status_code == 202
    (line,) = Activity.objects.filter(kind="submitted_again")
    assert line.data["submitted"]["last_name"] == "Verma" and Lead.objects.get().last_name == ""


def test_the_fields_of_the_page_are_taken_and_what_goes_wrong_is_as_it_says(follow):
    client, _ = follow(PAGE)
    table = PAGE.text.partition("| field | |")[2].partition("\n\n")[0]
    fields = re.findall(r"`(\w+)`", table)
    refused = client.post("/public/leads", dict.fromkeys(fields, 10**30)).json()
    assert refused["code"] == "malformed_body"  # a number beyond 64 bits
    known = client.post("/public/leads", {field: {} for field in fields})
    assert {error["code"] for error in known.json()["errors"]}.isdisjoint({"unknown_field"})
    for field in ("owner_id", "status"):
        answer = client.post("/public/leads", GOOD | {field: 1})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, field)
    body = urlencode(GOOD)
    assert client.request("POST", "/public/leads", body).json()["code"] == "malformed_body"
    assert f"most {ADDRESS_RATE} requests a minute from one address" in PAGE.text
