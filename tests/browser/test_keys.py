"""What else is done to a key, in a browser: limits, duplicate, usage; and what happens when somebody was faster."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, Route, expect

from apikeys.models import APIKey
from apikeys.operations import (
    create_api_key,
    delete_key,
    regenerate_token,
    rename_key,
    set_limits,
    set_scopes,
)
from leads.models import User
from tests.browser import demo
from tests.browser.test_manual import TOKEN, menu, row, tab_to
from tests.browser.test_pictures import fits, look
from webhooks.models import Webhook
from webhooks.operations import change_webhook, subscribe

ODD_NAMES = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "لوحة المبيعات",
    "📞 dialler 🚀",
    "a" * 100,
    "“Müller” & Söhne {{ 7*7 }} %s",
)


@pytest.fixture
def key(priya: User) -> APIKey:
    return create_api_key(name="Zoho production", scopes=["leads:read"]).key


@pytest.fixture
def opened(settings_api: Page, live_server: Any, key: APIKey) -> Page:
    """The drawer of the key."""
    settings_api.goto(f"{live_server.url}/settings?tab=api&key={key.pk}")
    return settings_api


def saved(page: Page) -> None:
    expect(page.get_by_text("Saved", exact=True).first).to_be_visible()


def end_login(context: BrowserContext) -> None:
    context.clear_cookies(name=settings.SESSION_COOKIE_NAME)


def log_in_again(page: Page) -> None:
    expect(page.get_by_role("alert")).to_contain_text("what you typed is there again")
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()


def test_limits_are_set_by_keyboard_and_a_wrong_one_is_shown_where_it_is(opened: Page, key: APIKey) -> None:
    page = opened
    expect(page.get_by_label("Requests a minute")).to_be_hidden()
    summary = page.locator("details.fold > summary")
    expect(summary).to_contain_text("600 requests a minute, from anywhere")
    summary.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Requests a minute").fill("1200")
    page.get_by_label("Allowed addresses").fill("203.0.113.7/24")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Allowed addresses")).to_be_focused()
    expect(page.locator("#id_allowed_addresses_error")).to_contain_text("is not an address or network")
    expect(page.get_by_label("Requests a minute")).to_have_value("1200")
    page.get_by_label("Allowed addresses").fill("203.0.113.0/24\n2001:db8::/32")
    page.get_by_role("button", name="Save").click()
    saved(page)
    expect(page.locator("details.fold > summary")).to_contain_text("1,200 requests a minute, from 2 networks")
    key.refresh_from_db()
    assert (key.rate_limit, key.allowed_addresses) == (1200, ["2001:db8::/32", "203.0.113.0/24"])


def test_a_key_is_duplicated_by_keyboard(settings_api: Page, key: APIKey) -> None:
    page = settings_api
    page.reload()
    tab_to(page, "⋯")
    page.keyboard.press("Enter")
    tab_to(page, "Duplicate")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("Zoho production 2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy").first).to_be_focused()
    assert TOKEN.match(page.locator("#token").inner_text())
    expect(page.get_by_role("dialog")).to_contain_text("The key is duplicated")
    tab_to(page, "I have copied it")
    page.keyboard.press("Enter")
    expect(row(page, "Zoho production 2")).to_contain_text("Leads read")
    assert APIKey.objects.get(name="Zoho production 2").scopes == ["leads:read"]


def test_a_key_is_renamed_from_the_drawer_and_the_drawer_stays(opened: Page, key: APIKey) -> None:
    page = opened
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="More for Zoho production").click()
    page.locator("[popover]:popover-open").get_by_text("Rename").click()
    page.get_by_role("textbox", name="Name").fill("Zoho live")
    page.get_by_role("button", name="Save").click()
    expect(drawer.get_by_role("heading", name="Zoho live")).to_be_visible()
    expect(drawer).to_contain_text("The key is now “Zoho live”.")


def test_what_is_idle_is_unticked_at_once_and_the_words_follow(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    looker = demo.seed()["looker"]
    page.goto(f"{live_server.url}/settings?tab=api&key={looker.pk}")
    customers = page.get_by_role("row", name="Customers")
    expect(customers).to_contain_text("never used")
    customers.get_by_text("untick?").click()
    expect(page.get_by_label("Customers read")).not_to_be_checked()
    expect(page.locator("#in-words")).to_contain_text("Cannot see customers.")
    page.get_by_role("button", name="Save").click()
    saved(page)
    looker.refresh_from_db()
    assert "customers:read" not in looker.scopes


def test_usage_is_behind_the_count_in_the_head(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    zoho = demo.seed()["zoho"]
    page.goto(f"{live_server.url}/settings?tab=api&key={zoho.pk}")
    page.get_by_role("link", name="676 requests in 24 h").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("img", name="Last 30 days:")).to_be_visible()
    drawer.get_by_text("The same as a table").click()
    expect(drawer.get_by_role("region", name="Requests by day as a table")).to_be_visible()
    expect(drawer).to_contain_text("The API key lacks a scope")


def test_regenerate_offers_to_remove_what_the_token_made(settings_api: Page) -> None:
    page = settings_api
    demo.seed()
    page.reload()
    menu(page, "Regenerate Token").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("69 requests in the last hour used this token.")
    expect(dialog.get_by_label("https://hooks.zapier.example/catch/77")).to_be_checked()
    dialog.get_by_role("button", name="Regenerate Token").click()
    page.get_by_role("link", name="I have copied it").click()
    expect(row(page, "Zoho production")).to_contain_text("2 webhooks")


@pytest.mark.parametrize("width", [320, 1280])
def test_a_login_that_ends_while_ticking_loses_nothing(
    opened: Page, context: BrowserContext, key: APIKey, picture: Callable[..., None], width: int
) -> None:
    page = opened
    look(page, width, "light")
    page.get_by_label("Tags read").check()
    page.locator("details.fold > summary").click()
    page.get_by_label("Allowed addresses").fill("203.0.113.0/24")
    end_login(context)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    picture(f"login-ended-light-{width}")
    log_in_again(page)
    expect(page.get_by_role("dialog")).to_contain_text("Nothing was saved yet")
    picture(f"typed-before-login-light-{width}")
    expect(page.get_by_label("Tags read")).to_be_checked()
    key.refresh_from_db()
    assert key.scopes == ["leads:read"]
    expect(page.get_by_label("Allowed addresses")).to_have_value("203.0.113.0/24")
    expect(page.get_by_label("Allowed addresses")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    saved(page)
    key.refresh_from_db()
    assert (key.scopes, key.allowed_addresses) == (["leads:read", "tags:read"], ["203.0.113.0/24"])


def test_a_login_that_ended_and_began_in_another_tab_loses_nothing(
    opened: Page, context: BrowserContext, live_server: Any, key: APIKey
) -> None:
    page = opened
    page.get_by_label("Tags read").check()
    end_login(context)
    other = context.new_page()
    other.goto(f"{live_server.url}/settings?tab=api")
    other.get_by_label("Username").fill("priya")
    other.get_by_label("Password").fill("correct horse")
    other.get_by_role("button", name="Log in").click()
    expect(row(other, "Zoho production")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing was saved yet")
    expect(page.get_by_label("Tags read")).to_be_checked()
    page.get_by_role("button", name="Save").click()
    saved(page)
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "tags:read"]


def test_two_tabs_do_not_overwrite_each_other(opened: Page, context: BrowserContext, key: APIKey) -> None:
    page = opened
    other = context.new_page()
    other.goto(page.url)
    other.get_by_label("Call history read").check()
    other.get_by_role("button", name="Save").click()
    saved(other)
    page.get_by_label("Tags read").check()
    page.get_by_role("button", name="Save").click()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("was changed since you opened it")
    expect(told).to_contain_text("Priya Nair changed what the key can do: added Call history read")
    expect(page.get_by_label("Tags read")).to_be_checked()
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "calls:read"]


def test_who_saves_second_is_told_and_overwrites_nothing_unseen(
    opened: Page, live_server: Any, key: APIKey
) -> None:
    page, told = opened, opened.get_by_role("alert")
    here = f"{live_server.url}/settings?tab=api&key={key.pk}"
    save = page.get_by_role("button", name="Save")
    page.locator("details.fold > summary").click()
    page.get_by_label("Requests a minute").fill("90")
    limits = {"allowed_addresses": [], "allowed_origins": [], "manage_webhooks": False}
    set_limits(key=key, rate_limit=30, **limits)
    save.click()
    expect(told).to_contain_text("changed the limits: requests a minute default → 30")
    expect(page.get_by_label("Requests a minute")).to_have_value("90")
    assert APIKey.objects.get().rate_limit == 30
    hook = subscribe(api_key=key, url="https://crm.example/hook", events=["lead.created"])
    page.goto(f"{here}&panel=webhooks&webhook={hook.pk}")
    page.get_by_label("URL").fill("https://crm.example/mine")
    change_webhook(webhook=hook, rate_limit=60)
    save.click()
    expect(told).to_contain_text("The rate limit is now 60 a minute.")
    assert Webhook.objects.get().url == "https://crm.example/hook"
    save.click()
    expect(page.get_by_text("Saved", exact=True).first).to_be_visible()
    hook.refresh_from_db()
    assert (hook.url, hook.rate_limit) == ("https://crm.example/mine", 60)
    page.goto(f"{here}&confirm=rename")
    page.get_by_role("textbox", name="Name").fill("Mine")
    rename_key(key=key, name="Theirs")
    save.click()
    expect(page.get_by_role("dialog")).to_contain_text("somebody changed this key since you opened it")
    expect(page.get_by_role("heading", name="Rename “Theirs”")).to_be_visible()
    assert APIKey.objects.get().name == "Theirs"
    page.goto(f"{here}&confirm=regenerate")
    theirs = regenerate_token(key=key).key.digest
    page.get_by_role("button", name="Regenerate Token").click()
    expect(page.get_by_role("dialog")).to_contain_text("somebody changed this key since you opened it")
    assert APIKey.objects.get().digest == theirs


def test_a_key_that_is_deleted_while_its_drawer_is_open(opened: Page, key: APIKey) -> None:
    page = opened
    page.get_by_label("Tags read").check()
    delete_key(key=key)
    page.get_by_role("button", name="Save").click()
    notice = page.locator(".notices")
    expect(notice).to_contain_text("it was deleted meanwhile")
    expect(notice).to_contain_text("leads:read, tags:read")
    expect(page.get_by_text("No API keys yet")).to_be_visible()


def test_back_after_delete_shows_what_is_there(settings_api: Page, key: APIKey) -> None:
    page = settings_api
    page.reload()
    page.get_by_role("link", name="Configure Zoho production").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("link", name="Close").click()
    menu(page, "Delete").click()
    page.get_by_label("Type the name of the key").fill("Zoho production")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No API keys yet")).to_be_visible()
    page.go_back()
    expect(page.locator(".notices")).to_contain_text("it was deleted meanwhile")
    expect(page.get_by_text("No API keys yet")).to_be_visible()


def test_the_words_wait_for_a_slow_network_and_the_last_ticks_win(opened: Page, key: APIKey) -> None:
    page = opened
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/scopes/in-words*", hold)
    with page.expect_request("**/scopes/in-words*"):
        page.get_by_label("Tags read").check()
    with page.expect_request("**/scopes/in-words*"):
        page.get_by_label("Notes read").check()
    words = page.locator("#in-words")
    expect(words).to_contain_text("Can see leads.")
    for late in reversed(held):  # the first question is answered last
        with page.expect_response("**/scopes/in-words*"):
            late.continue_()
    expect(words).to_contain_text("Can see leads, tags and notes.")


@pytest.mark.parametrize("width", [320, 1280])
def test_odd_names_stay_text_and_fit(
    settings_api: Page,
    live_server: Any,
    picture: Callable[..., None],
    width: int,
) -> None:
    page = settings_api
    look(page, width, "light")
    keys = [create_api_key(name=name, scopes=["leads:read"]).key for name in ODD_NAMES]
    page.goto(f"{live_server.url}/settings?tab=api")
    for name in ODD_NAMES:
        expect(page.locator(".keys .name").get_by_text(name, exact=True)).to_be_visible()
    fits(page, width)
    picture(f"odd-names-light-{width}")
    for key in keys:
        for opens in ("", "&confirm=delete", "&confirm=regenerate", "&confirm=rename", "&confirm=duplicate"):
            page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}{opens}")
            fits(page, width)


@pytest.mark.parametrize("width", [320, 1280])
def test_many_keys_come_in_pages(
    settings_api: Page, live_server: Any, picture: Callable[..., None], width: int
) -> None:
    page = settings_api
    look(page, width, "light")
    for number in range(60):
        create_api_key(name=f"System {number:02}", scopes=["leads:read"])
    page.goto(f"{live_server.url}/settings?tab=api")
    pages = page.get_by_role("navigation", name="Pages of the list")
    expect(pages).to_contain_text("1–50 of 60 keys")
    pages.scroll_into_view_if_needed()
    picture(f"pages-light-{width}")
    fits(page, width)
    pages.get_by_role("link", name="Next").click()
    expect(pages).to_contain_text("51–60 of 60 keys")
    page.get_by_role("link", name="Configure System 57").click()
    page.get_by_role("link", name="Close").click()
    expect(pages).to_contain_text("51–60 of 60 keys")
    page.get_by_role("searchbox").fill("system 03")
    page.keyboard.press("Enter")
    expect(row(page, "System 03")).to_be_visible()
    expect(pages).to_have_count(0)


def test_a_name_of_ten_thousand_characters_is_refused_at_its_field(settings_api: Page) -> None:
    page = settings_api
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name").evaluate(
        "field => { field.removeAttribute('maxlength'); field.value = 'x'.repeat(10000); }"
    )
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_name_error")).to_contain_text("at most 100 characters")
    assert page.get_by_label("Name").input_value() == "x" * 10_000
    assert not APIKey.objects.exists()


class TestElsewhere:
    @pytest.fixture
    def browser_context_args(self, browser_context_args: dict[str, Any]) -> dict[str, Any]:
        return {**browser_context_args, "timezone_id": "America/New_York"}

    def test_times_are_the_viewers(self, opened: Page, key: APIKey) -> None:
        set_scopes(key=key, scopes=["tags:read"])
        opened.reload()
        title = opened.locator(".audit time").first.get_attribute("title")
        assert title
        assert title.endswith(("EST", "EDT"))


def test_guessing_ends_at_a_page_that_says_how_long(
    page: Page, live_server: Any, console: list[str], priya: User, picture: Callable[..., None]
) -> None:
    look(page, 1280, "light")
    page.goto(f"{live_server.url}/settings?tab=api")
    for _ in range(10):
        page.get_by_label("Username").fill("priya")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Too many attempts to log in")).to_be_visible()
    picture("too-many-logins-light-1280")
    # The browser itself remarks on the status.
    assert [line for line in console if "429" not in line] == []
    console.clear()
