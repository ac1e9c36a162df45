"""The log of deliveries in a browser: found, opened, sent again, live; each state a picture."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from apikeys.models import APIKey
from tests.browser import demo
from tests.browser.test_pictures import SCHEMES, WIDTHS, fits, look
from tests.deliveries import busy_day, new_attempt, new_delivery
from tests.processes import Answer, Receiver
from webhooks.models import Delivery, Webhook
from webhooks.operations import change_webhook, delete_webhook


@pytest.fixture
def webhook(settings_api: Page) -> Webhook:
    """Zoho's first webhook, after a busy day."""
    demo.seed()
    hook = Webhook.objects.get(url="https://flow.zoho.example/calliyo")
    busy_day(hook)
    return hook


def address(live_server: Any, webhook: Webhook, more: str = "") -> str:
    base = f"{live_server.url}/settings?tab=api&key={webhook.api_key_id}&panel=webhooks"
    return f"{base}&webhook={webhook.pk}&do=deliveries{more}"


def rows(page: Page) -> Any:
    return page.locator(".log tbody tr")


def test_filters_find_without_leaving_the_page_and_stay_in_the_address(
    settings_api: Page, live_server: Any, webhook: Webhook
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    expect(rows(page)).to_have_count(12)
    page.evaluate("window.stayed = true")
    page.get_by_label("Outcome").select_option("failed")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("dialog [data-live]")).to_have_text("1 delivery shown")
    page.get_by_label("Outcome").select_option("")
    page.get_by_label("Lead", exact=True).fill("1039")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    assert page.evaluate("window.stayed")
    assert page.url.endswith("do=deliveries&event=&outcome=&lead=1039")
    page.reload()
    expect(rows(page)).to_have_count(2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Lead", exact=True).fill("nobody")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing found")
    # Leaving the field asks nothing: a second answer, come after "back", would lead forward again.
    assert len([url for url in asked if "lead=nobody" in url and "do=deliveries" in url]) == 1
    page.go_back()
    expect(rows(page)).to_have_count(2)


def test_new_deliveries_appear_by_themselves_and_stand_still_while_rows_are_selected(
    settings_api: Page, live_server: Any, webhook: Webhook
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    rows(page).first.get_by_role("link").focus()
    new_attempt(new_delivery(webhook, lead_id=4711))
    expect(rows(page).first).to_contain_text("lead 4711")
    expect(rows(page).nth(1).get_by_role("link")).to_be_focused()
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("13 selected")).to_be_visible()
    new_delivery(webhook, lead_id=4712)
    page.wait_for_timeout(6000)
    expect(rows(page).first).to_contain_text("lead 4711")
    page.get_by_label("Select all on this page").uncheck()
    expect(rows(page).first).to_contain_text("lead 4712")


def test_nothing_is_asked_for_while_the_tab_is_hidden(
    settings_api: Page, live_server: Any, webhook: Webhook
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/deliveries" in request.url else None)
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    page.wait_for_timeout(6000)
    assert asked == []
    # At once, and not when its five seconds are over.
    with page.expect_request("**/deliveries?*", timeout=3000):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_selected_deliveries_are_sent_again(settings_api: Page, live_server: Any, webhook: Webhook) -> None:
    page = settings_api
    page.goto(address(live_server, webhook, "&event=lead.updated&outcome=delivered"))
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Resend selected").click()
    expect(page.get_by_role("dialog")).to_contain_text("6 deliveries are queued.")
    assert Delivery.objects.filter(cause="replay").count() == 6


def test_the_list_of_a_webhook_that_is_deleted_meanwhile_says_so(
    settings_api: Page, live_server: Any, webhook: Webhook
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    delete_webhook(webhook=webhook)
    expect(page.get_by_text("This list is out of date")).to_be_visible()
    expect(rows(page)).to_have_count(12)
    page.get_by_role("link", name="Load the page again").click()


def test_a_test_event_that_takes_long_blocks_nothing(
    settings_api: Page, live_server: Any, receiver: Receiver
) -> None:
    page = settings_api
    demo.seed()
    webhook = Webhook.objects.get(url="https://flow.zoho.example/calliyo")
    change_webhook(webhook=webhook, url=receiver.url)
    receiver.answer_next(Answer(status=202, delay=7))
    page.goto(f"{live_server.url}/settings?tab=api&key={webhook.api_key_id}&panel=webhooks")
    button = page.get_by_role("button", name="Send test event").first
    button.click()
    expect(page.get_by_role("button", name="Sending…")).to_have_attribute("aria-disabled", "true")
    other = page.context.new_page()
    other.goto(f"{live_server.url}/settings?tab=api")
    expect(other.get_by_role("row", name="Zoho production Active")).to_be_visible()
    other.close()
    expect(page.get_by_role("button", name="Sending…")).to_be_visible()
    expect(page.get_by_role("group", name="Test event")).to_contain_text("202 Accepted")
    expect(page.get_by_role("group", name="Test event")).to_be_focused()
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_a_scope_is_offered_where_its_event_is_ticked(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    key = demo.seed()["zoho"]
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks&webhook=new")
    offer = page.get_by_label("Tick the scope Call history read too")
    expect(offer).to_be_hidden()
    page.get_by_label("URL").fill("https://flow.zoho.example/more")
    page.get_by_label("call.completed").check()
    offer.check()
    page.get_by_label("None: events are not signed").check()
    page.get_by_text("Order, rate limit and headers").click()
    page.get_by_label("Deliveries a minute, at most").fill("60")
    page.get_by_label("Headers that are sent along").fill("X-Source: calliyo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("The key has the scope Call history read now.")
    expect(page.get_by_role("dialog")).to_contain_text("at most 60 a minute")
    assert "calls:read" in APIKey.objects.get(pk=key.pk).scopes


def test_a_server_that_is_away_is_told_and_then_forgotten(
    settings_api: Page, live_server: Any, webhook: Webhook, picture: Callable[..., None], console: list[str]
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    told = page.get_by_text("Calliyo can’t be reached")
    for seen in (False, True):
        page.route("**/deliveries?*", lambda route: route.abort())
        expect(told).to_be_visible()
        if seen:  # the last thing: what pictures are made with leaves marks on the page
            told.scroll_into_view_if_needed()
            picture("deliveries-offline-light-1280", judged=False)
        else:
            page.unroute("**/deliveries?*")
            expect(told).to_be_hidden()
    page.goto("about:blank")
    # The browser's and htmx's own words on it, and nothing else.
    assert all(
        "ERR_FAILED" in line or "htmx:afterRequest" in line or "htmx:sendError" in line for line in console
    )
    console.clear()


def test_a_filter_that_takes_long_dims_the_list(
    settings_api: Page, live_server: Any, webhook: Webhook, picture: Callable[..., None]
) -> None:
    page = settings_api
    page.goto(address(live_server, webhook))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/settings?*outcome=*", hold)
    for outcome, number in (("failed", 1), ("missed", None)):
        page.get_by_label("Outcome").select_option(outcome)
        expect(page.locator("#delivery-list")).to_have_css("opacity", "0.55")
        if number is None:
            page.locator("#delivery-list").scroll_into_view_if_needed()
            picture("deliveries-loading-light-1280", judged=False)
        else:
            held.pop().continue_()
            expect(rows(page)).to_have_count(number)
            expect(page.locator("#delivery-list")).to_have_css("opacity", "1")
    page.goto("about:blank")


@SCHEMES
@WIDTHS
def test_every_state_of_the_form_fits_the_screen(
    settings_api: Page, live_server: Any, picture: Callable[[str], None], width: int, scheme: str
) -> None:
    page = settings_api
    look(page, width, scheme)
    key = demo.seed()["zoho"]
    hook = Webhook.objects.get(url="https://flow.zoho.example/calliyo")
    panel = f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks"

    def seen(state: str) -> None:
        fits(page, width)
        picture(f"{state}-{scheme}-{width}")

    page.goto(f"{panel}&webhook=new")
    page.get_by_label("note.added").check()
    page.get_by_text("Order, rate limit and headers").click()
    page.get_by_label("note.added").scroll_into_view_if_needed()
    seen("webhook-form-offer")
    page.get_by_label("Headers that are sent along").fill("Host: elsewhere")
    page.get_by_label("Deliveries a minute, at most").fill("-1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_headers_error")).to_be_visible()
    page.locator("#id_headers_error").scroll_into_view_if_needed()
    seen("webhook-form-refused")
    page.goto(f"{panel}&webhook={hook.pk}")
    page.get_by_label("URL").fill("https://flow.zoho.example/mine")
    change_webhook(webhook=hook, url="https://flow.zoho.example/theirs", rate_limit=30)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("The rate limit is now 30 a minute.")
    seen("webhook-changed-meanwhile")


@SCHEMES
@WIDTHS
def test_every_state_of_the_log_fits_the_screen(
    settings_api: Page,
    live_server: Any,
    webhook: Webhook,
    picture: Callable[[str], None],
    width: int,
    scheme: str,
) -> None:
    page = settings_api
    look(page, width, scheme)
    # A list that is drawn anew under the camera is for other tests.
    page.route("**/settings/api/webhooks/*/deliveries?*", lambda route: route.fulfill(status=204))
    quiet = Webhook.objects.get(url="https://flow.zoho.example/calls")
    failed = Delivery.objects.get(webhook=webhook, state="failed")
    resend = address(live_server, webhook).replace("do=deliveries", "do=resend")
    states = {
        "deliveries": address(live_server, webhook),
        "deliveries-empty": address(live_server, quiet),
        "deliveries-nothing-found": address(live_server, webhook, "&outcome=cancelled&lead=98765"),
        "delivery": address(live_server, webhook, f"&delivery={failed.pk}"),
        "resend-question": resend,
        "resend-counted": f"{resend}&since=24h",
        "resend-date": f"{resend}&since=date",
        "webhooks-busy": f"{live_server.url}/settings?tab=api&key={webhook.api_key_id}&panel=webhooks",
    }
    for state, where in states.items():
        page.goto(where)
        if state == "deliveries-nothing-found":
            page.locator(".empty").scroll_into_view_if_needed()
        picture(f"{state}-{scheme}-{width}")
        fits(page, width)
    page.goto(states["deliveries"])
    page.get_by_text("The same as a table").click()
    page.get_by_role("region", name="as a table").scroll_into_view_if_needed()
    picture(f"day-table-{scheme}-{width}")
    fits(page, width)
    rows(page).nth(3).get_by_role("checkbox").check()
    rows(page).nth(3).scroll_into_view_if_needed()
    picture(f"deliveries-selected-{scheme}-{width}")
    fits(page, width)
    page.goto(states["delivery"])
    page.get_by_role("heading", name="Attempts").scroll_into_view_if_needed()
    page.get_by_text("Attempt 2").click()
    picture(f"delivery-attempts-{scheme}-{width}")
    fits(page, width)


def test_the_readmes_second_picture(
    settings_api: Page, live_server: Any, webhook: Webhook, picture: Callable[[str], None]
) -> None:
    """`docs/images/deliveries.png` is a copy of this one."""
    look(settings_api, 1280, "light")
    settings_api.set_viewport_size({"width": 1280, "height": 920})
    settings_api.goto(address(live_server, webhook))
    picture("deliveries-of-readme")
