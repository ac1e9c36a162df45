"""The API reference in a browser: it fits, it says nothing to the console, and what one tries really happens."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from leads.models import Lead, LeadStatus
from leads.models.status import seed_statuses
from tests.browser.test_pictures import SCHEMES, WIDTHS, fits, look
from tests.clients import public_client


@pytest.fixture
def pipeline(transactional_db: None) -> None:
    """The ten statuses. What restores them elsewhere is bound to a connection that this loop does not have."""
    if not LeadStatus.objects.exists():
        seed_statuses(LeadStatus, stamps={})


@pytest.fixture
def reference(page: Page, live_server: Any, pipeline: None, console: list[str]) -> Page:
    """A visitor's browser on the reference."""
    page.goto(f"{live_server.url}/public/docs")
    return page


@SCHEMES
@WIDTHS
def test_the_reference_fits_the_screen(
    page: Page,
    live_server: Any,
    transactional_db: None,
    console: list[str],
    picture: Callable[..., None],
    width: int,
    scheme: str,
) -> None:
    look(page, width, scheme)
    for name, place in {
        "top": "",
        "operation": "#create_lead",
        "event": "#event-lead.updated",
        "error": "#duplicate_phone",
    }.items():
        page.goto(f"{live_server.url}/public/docs{place}")
        fits(page, width)
        picture(f"reference-{name}-{scheme}-{width}", judged=name == "top")  # one page: judged once


def test_trying_an_operation_calls_this_calliyo_and_shows_what_it_said(
    reference: Page, picture: Callable[[str], None]
) -> None:
    client = public_client("leads:read", "leads:write", rate_limit=600)
    create = try_it(reference, "create_lead")
    create.get_by_role("button", name="Send").click()
    expect(create.locator("[data-told]")).to_have_text("Type your token first.")
    assert not Lead.objects.exists()

    reference.get_by_label("Your token").fill(client.token)
    create.get_by_label("Body (JSON)").fill(json.dumps({"first_name": "Asha", "phone": "98765 43210"}))
    create.get_by_role("button", name="Send").click()
    expect(create.locator("[data-outcome]")).to_contain_text("201 Created")
    lead = Lead.objects.get()
    expect(create.locator("[data-answer]")).to_contain_text(f'"id": {lead.pk}')
    expect(create.locator("[data-headers]")).to_contain_text(re.compile("ratelimit:", re.IGNORECASE))
    expect(create.locator("[data-time]")).to_have_text(re.compile(r"\d+ ms"))
    picture("reference-tried")

    listed = try_it(reference, "list_leads")
    listed.get_by_text("More parameters").click()
    listed.get_by_label("fields", exact=True).fill("id,phone")
    listed.get_by_label("Answer as").select_option("text/csv")
    listed.get_by_role("button", name="Send").click()
    expect(listed.locator("[data-answer]")).to_contain_text(f"{lead.pk},+919876543210")

    one = try_it(reference, "get_lead")
    one.get_by_label("id", exact=True).fill(str(lead.pk))
    one.get_by_role("button", name="Send").click()
    expect(one.locator("[data-status]")).to_have_text("200 OK")


def test_the_token_stays_in_the_memory_of_the_page(reference: Page) -> None:
    client = public_client("leads:read")
    reference.get_by_label("Your token").fill(client.token)
    listed = try_it(reference, "list_leads")
    listed.get_by_role("button", name="Send").click()
    expect(listed.locator("[data-status]")).to_have_text("200 OK")
    kept = reference.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert client.token not in kept
    reference.reload()
    expect(reference.get_by_label("Your token")).to_have_value("")


def test_a_language_that_is_chosen_once_is_shown_everywhere(reference: Page) -> None:
    first, second = (reference.locator(f"#{name} .snippets") for name in ("create_lead", "get_lead"))
    expect(first).to_contain_text("curl -X POST")
    first.get_by_text("PHP", exact=True).click()
    expect(first.locator("[data-language=PHP] pre")).to_be_visible()
    expect(second.locator("[data-language=PHP] pre")).to_be_visible()
    expect(second.locator("[data-language=curl] pre")).to_be_hidden()


def test_finding_leaves_what_has_the_words(reference: Page) -> None:
    contents = reference.get_by_role("navigation", name="Reference")
    contents.get_by_role("searchbox").fill("follow create")
    expect(contents.get_by_role("link", name="Create a follow-up")).to_be_visible()
    expect(contents.get_by_role("link", name="List leads")).to_be_hidden()
    contents.get_by_role("searchbox").fill("duplicate_phone")
    contents.get_by_role("link", name="duplicate_phone").click()
    expect(reference.locator("#duplicate_phone")).to_be_in_viewport()
    contents.get_by_role("searchbox").fill("zzz")
    expect(contents).to_contain_text("Nothing here has these words.")


def test_everything_is_reached_by_the_keyboard(reference: Page) -> None:
    box = reference.locator("[data-try=get_me] > summary")
    box.focus()
    reference.keyboard.press("Enter")
    expect(reference.locator("[data-try=get_me] form")).to_be_visible()
    reference.keyboard.press("Tab")
    expect(reference.locator("[data-try=get_me]").get_by_text("More parameters")).to_be_focused()


def test_the_settings_lead_to_the_reference(settings_api: Page) -> None:
    settings_api.get_by_role("link", name="API Docs").click()
    expect(settings_api.get_by_role("heading", name="API reference")).to_be_visible()


def try_it(page: Page, operation: str) -> Any:
    """The opened form of the operation."""
    box = page.locator(f"[data-try={operation}]")
    box.locator("> summary").click()
    expect(box.locator("form")).to_be_visible()
    return box
