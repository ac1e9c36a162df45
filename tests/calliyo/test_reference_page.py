"""`/public/docs`: open to all, strict, whole; and its snippets run."""

import json
import re
import shlex

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from apikeys.scopes import RESOURCE_TITLES, Scope
from calliyo.reference.document import SOMEWHERE, document_for
from calliyo.reference.errors import ERRORS
from calliyo.reference.reading import Reader
from calliyo.reference.snippets import Call, snippets
from leads.models import Lead, Note
from tests.clients import public_client
from webhooks.catalogue import CATALOGUE


@pytest.fixture(scope="module")
def groups():
    return {group.slug: group for group in Reader(document_for(SOMEWHERE)).groups()}


@pytest.fixture
def page(client, db):
    answer = client.get("/public/docs")
    assert answer.status_code == 200
    return answer


def test_each_operation_event_and_error_has_its_anchor(page, groups):
    anchors = re.findall(r' id="([^"]+)"', page.content.decode())
    wanted = {operation.id for group in groups.values() for operation in group.operations}
    assert wanted | set(ERRORS) | {f"event-{kind}" for kind in CATALOGUE} | set(groups) <= set(anchors)
    assert len(anchors) == len(set(anchors))
    links = set(re.findall(r'href="#([^"]+)"', page.content.decode()))
    assert links <= set(anchors) | {"content-start"}


def test_the_type_of_a_problem_leads_to_its_explanation(page, client):
    answer = client.get("/public/leads")
    address, _, anchor = answer.json()["type"].partition("#")
    assert address == f"{settings.BASE_URL}{reverse('docs')}"
    assert f'id="{anchor}"' in page.content.decode()


def test_the_page_needs_nothing_that_a_strict_policy_forbids(page):
    text = page.content.decode()
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert "unsafe" not in page["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", text)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)


def test_the_page_bears_the_readers_own_address(client, db, settings):
    settings.ALLOWED_HOSTS = ["crm.acme.example"]
    text = client.get("/public/docs", headers={"Host": "crm.acme.example"}).content.decode()
    assert "curl &quot;http://crm.acme.example/public/leads&quot;" in text
    assert "crm.example.com" not in text


def test_the_page_can_only_be_read(client, db):
    assert client.head("/public/docs/").status_code == 200
    answer = Client(enforce_csrf_checks=True).post("/public/docs")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_what_works_is_told_as_the_code_has_it(groups):
    assert [group.title for group in groups.values()][: len(RESOURCE_TITLES)] == list(
        RESOURCE_TITLES.values()
    )
    leads, calls = groups["leads"].coverage, groups["calls"].coverage
    assert leads.verbs == {
        "list": "list_leads", "create": "create_lead", "get": "get_lead", "update": "update_lead", "delete": "",
    }  # fmt: skip
    assert (leads.expand, leads.export) == (["owner", "campaign"], ["CSV", "NDJSON"])
    assert {"phone", "tag", "updated_after", "deleted_after"} <= set(leads.filters)
    assert not {"limit", "cursor", "fields"} & set(leads.filters)
    assert calls.verbs["create"] == calls.verbs["update"] == calls.verbs["delete"] == ""


def test_values_are_told_in_words(groups):
    [create] = [one for one in groups["leads"].operations if one.id == "create_lead"]
    fields = {row.name: row for row in create.fields}
    assert fields["phone"].required and not fields["email"].required
    assert fields["phone"].type == "phone number or number"
    assert fields["tags"].type == "list of text or number"
    [update] = [one for one in groups["follow-ups"].operations if one.id == "update_follow_up"]
    assert {row.name: row.choices for row in update.fields}["status"] == ["open", "resolved"]


# ── Snippets ────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_operation_has_a_snippet_in_each_language(groups):
    for group in groups.values():
        for operation in group.operations:
            assert [one.language for one in operation.snippets] == ["curl", "Python", "JavaScript", "PHP"]
            path = operation.path.partition("{")[0]
            assert all(f"{SOMEWHERE}{path}" in one.text for one in operation.snippets)


def test_quotes_and_backslashes_in_a_body_stay_what_they_are(groups):
    call = Call(base=SOMEWHERE, method="POST", path="/public/notes", body={"text": 'It\'s a \\ "test"'})
    curl, python, _, php = (one.text for one in snippets(call))
    assert json.loads(shlex.split(curl.replace("\\\n", " "))[-1]) == call.body
    compile(python, "snippet", "exec")
    assert 'It\\\'s a \\\\\\\\ \\\\"test\\\\"' in php


def run_python(groups, operation_id, live_server, monkeypatch, *scopes, at: int = 1042):
    [operation] = [one for group in groups.values() for one in group.operations if one.id == operation_id]
    [python] = [one.text for one in operation.snippets if one.language == "Python"]
    monkeypatch.setenv("CALLIYO_TOKEN", public_client(*scopes).token)
    exec(python.replace(SOMEWHERE, live_server.url).replace("1042", str(at)), {})  # noqa: S102  # it is what is tested


@pytest.mark.django_db(transaction=True)
def test_the_python_snippets_do_what_they_say(groups, live_server, monkeypatch, capsys):
    run_python(groups, "create_lead", live_server, monkeypatch, "leads:read", "leads:write")
    lead = Lead.objects.get()
    assert (lead.phone, lead.source) == ("+919876543210", "website")
    run_python(groups, "update_lead", live_server, monkeypatch, *Scope, at=lead.pk)
    lead.refresh_from_db()
    assert lead.status.name == "Followups"
    run_python(groups, "create_note", live_server, monkeypatch, "notes:write", at=lead.pk)
    assert Note.objects.get().lead == lead
    run_python(groups, "list_leads", live_server, monkeypatch, "leads:read")
    assert "'phone': '+919876543210'" in capsys.readouterr().out
