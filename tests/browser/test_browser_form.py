"""`docs/recipes/form.md`: its form in a page of another origin, in Chromium."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from leads.models import Activity, Lead, LeadStatus, StatusRole
from tests.clients import PublicClient, public_client
from tests.pages import Page
from tests.processes import Answer, Receiver

RECIPE = Page("recipes/form.md")
STATUS = "[role=status]"


@pytest.fixture
def site(receiver: Receiver) -> str:
    """The origin of the website: a server of its own, which is not Calliyo's."""
    return f"http://127.0.0.1:{receiver.port}"


@pytest.fixture
def website(
    transactional_db: None, live_server: Any, receiver: Receiver, site: str, page: Tab, console: list[str]
) -> Callable[[str], Tab]:
    """`website(token)`: the visitor's browser on the page that the recipe shows."""
    # In Playwright's loop Django has connections of its own, which do not bring back what migrations wrote.
    LeadStatus.objects.get_or_create(role=StatusRole.UNASSIGNED, defaults={"name": "Unassigned"})

    def show(token: str) -> Tab:
        assert not live_server.url.startswith(site)
        html = RECIPE.block("html").replace("https://crm.example.com", live_server.url)
        html = (
            f'<!doctype html><html lang="en"><title>Call me</title>{html.replace("cly_live_…", token)}</html>'
        )
        headers = {"Content-Type": "text/html; charset=utf-8"}
        receiver.answer_by(lambda _received: Answer(headers=headers, body=html.encode()))
        page.goto(site)
        return page

    return show


@pytest.fixture
def key(site: str) -> Callable[..., PublicClient]:
    """A key as the page tells to make it, for this website unless told otherwise."""
    return lambda **options: public_client(*RECIPE.scopes(), **{"allowed_origins": [site], **options})


def fill_in(tab: Tab, first_name: str, phone: str) -> None:
    tab.get_by_label("First name").fill(first_name)
    tab.get_by_label("Phone").fill(phone)
    tab.get_by_role("button", name="Call me").click()


def test_a_visitor_is_a_lead_and_a_known_number_looks_the_same(website, key) -> None:
    tab = website(key().token)
    answers = []
    for name in ("Asha", "Somebody else"):
        with tab.expect_response("**/public/leads") as response:
            fill_in(tab, name, "98765 43210")
        expect(tab.locator(STATUS)).to_have_text("Thank you, we will call you.")
        expect(tab.get_by_label("Phone")).to_have_value("")
        answers.append(response.value)
    assert [answer.status for answer in answers] == [202, 202]
    assert [list(answer.json()) for answer in answers] == [["accepted", "request_id"]] * 2
    lead = Lead.objects.get()
    assert (lead.first_name, lead.phone, lead.source) == ("Asha", "+919876543210", "website")
    assert Activity.objects.filter(kind="submitted_again").count() == 1


def test_a_wrong_number_is_told_and_may_be_mended(website, key, console) -> None:
    tab = website(key().token)
    fill_in(tab, "Asha", "12")
    expect(tab.locator(STATUS)).to_contain_text("too few or too many digits")
    assert [re.sub(r"\(.*\)", "", line) for line in console] == [
        "error: Failed to load resource: the server responded with a status of 400 "
    ]
    console.clear()
    fill_in(tab, "Asha", "98765 43210")
    expect(tab.locator(STATUS)).to_have_text("Thank you, we will call you.")
    assert Lead.objects.count() == 1


def test_a_lost_answer_and_a_second_try_write_one_lead(website, key, console) -> None:
    tab = website(key().token)

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    tab.route("**/public/leads", lose_the_answer, times=1)
    fill_in(tab, "Asha", "98765 43210")
    expect(tab.locator(STATUS)).to_have_text("That did not work. Please try again in a minute.")
    assert len(console) == 1
    console.clear()
    tab.get_by_role("button", name="Call me").click()
    expect(tab.locator(STATUS)).to_have_text("Thank you, we will call you.")
    assert Lead.objects.count() == 1
    assert not Activity.objects.filter(kind="submitted_again").exists()


@pytest.mark.parametrize("allowed", [["https://www.example.com"], []])
def test_another_sites_page_is_refused_and_the_console_says_why(website, key, console, allowed) -> None:
    tab = website(key(allowed_origins=allowed).token)
    fill_in(tab, "Asha", "98765 43210")
    expect(tab.locator(STATUS)).to_have_text("That did not work. Please try again in a minute.")
    assert any("blocked by CORS policy" in line for line in console)
    console.clear()
    assert not Lead.objects.exists()


def test_the_key_of_another_site_is_refused_where_some_key_allows_this_one(website, key, console) -> None:
    key()
    tab = website(key(allowed_origins=["https://www.example.com"]).token)
    with tab.expect_response("**/public/leads") as response:
        fill_in(tab, "Asha", "98765 43210")
    expect(tab.locator(STATUS)).to_have_text("That did not work. Please try again in a minute.")
    assert (response.value.status, response.value.json()["code"]) == (403, "origin_not_allowed")
    assert [line for line in console if "403" not in line] == []
    console.clear()
    assert not Lead.objects.exists()
