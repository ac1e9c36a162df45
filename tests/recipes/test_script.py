"""`docs/recipes/script.md`: the nightly job, and each of its requests."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import FollowUp, Lead, Note
from leads.operations.conversion import convert_leads
from tests.clients import public_client
from tests.leads.factories import FollowUpFactory, LeadFactory
from tests.pages import Page
from tests.recipes.programs import run

PAGE = Page("recipes/script.md")


def test_the_requests_get_the_answers_that_the_page_shows(follow):
    lead = LeadFactory()
    FollowUpFactory(lead=lead, due_at=timezone.now() - timedelta(days=4), note="Send the quote", owner=None)
    client, conversation = follow(PAGE)
    conversation.ids[1042] = lead.pk
    assert conversation.hold(PAGE) == 3
    note = Note.objects.get()
    assert (note.author_type, note.author_name) == ("api_key", client.key.name)


@pytest.fixture
def script(follow, live_server, tmp_path):
    """Runs the page's script; what it printed."""
    client, _ = follow(PAGE)
    environment = {"CALLIYO": live_server.url, "TOKEN": client.token}
    code = PAGE.block("python").replace("limit=200", "limit=5")
    return lambda: run("python", tmp_path, {"nightly.py": code}, environment=environment)


def test_it_closes_what_customers_have_and_nothing_else(script):
    now = timezone.now()
    buyer, other = LeadFactory(), LeadFactory()
    for lead in (buyer, other):
        for days in (-2, 2):
            FollowUpFactory(lead=lead, due_at=now + timedelta(days=days))
    convert_leads(leads=Lead.objects.filter(pk=buyer.pk))
    FollowUp.objects.update(resolved_at=None)
    assert script() == "2 closed\n"
    assert set(FollowUp.objects.filter(resolved_at=None).values_list("lead", flat=True)) == {other.pk}
    assert list(Note.objects.values_list("lead", "text")) == [(buyer.pk, "Follow-up closed: has bought.")] * 2
    assert script() == "0 closed\n"
    assert Note.objects.count() == 2


def test_it_walks_all_pages_while_it_changes_what_it_walks(script):
    lead = LeadFactory()
    convert_leads(leads=Lead.objects.filter(pk=lead.pk))
    FollowUpFactory.create_batch(12, lead=lead, due_at=timezone.now() - timedelta(days=1))
    assert script() == "12 closed\n"


def test_what_goes_wrong_is_as_the_page_says(follow):
    client, _ = follow(PAGE)
    follow_up = FollowUpFactory(due_at=timezone.now() + timedelta(days=1))
    address = f"/public/follow-ups/{follow_up.pk}"
    stale = client.patch(address, {"status": "resolved"}, If_Match='"7"')
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert client.patch("/public/follow-ups/0", {"status": "resolved"}).status_code == 404
    for answer, code in (
        (client.patch(address, {"state": "resolved"}), "unknown_field"),
        (client.get("/public/follow-ups?state=open"), "unknown_parameter"),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
    refused = public_client("follow-ups:read").patch(address, {"status": "resolved"})
    assert (refused.status_code, "follow-ups:write" in refused.json()["detail"]) == (403, True)
    assert FollowUp.objects.get().resolved_at is None
