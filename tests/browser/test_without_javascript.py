"""Reading, and every form's plain POST, need no script."""

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from leads.models import User
from tests.browser import demo
from tests.browser.test_manual import TOKEN
from tests.deliveries import busy_day
from tests.processes import Receiver
from webhooks.models import Delivery, Webhook
from webhooks.operations import change_webhook


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "java_script_enabled": False}


def test_a_key_is_made_configured_and_deleted(settings_api: Page) -> None:
    page = settings_api
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name").fill("Marketing form")
    page.get_by_role("button", name="Save").click()
    assert TOKEN.match(page.locator("#token").inner_text())
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="Configure Marketing form").click()
    page.get_by_label("Leads write").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("Saved")
    assert APIKey.objects.get().scopes == ["leads:write"]
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_role("link", name="Close").click()
    page.get_by_role("button", name="More for Marketing form").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type the name of the key").fill("Marketing form")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No API keys yet")).to_be_visible()


def test_limits_a_duplicate_and_usage_need_no_script(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    key = create_api_key(name="Zoho production", scopes=["leads:read"]).key
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}")
    page.locator("details.fold > summary").click()
    page.get_by_label("Requests a minute").fill("90")
    page.get_by_label("Expires").select_option(label="On a date…")
    page.get_by_label("Last day").fill("2031-01-31")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("details.fold > summary")).to_contain_text("ends 31 Jan 2031, 90 requests a minute")
    page.get_by_role("link", name="0 requests in 24 h").click()
    expect(page.get_by_role("dialog")).to_contain_text("No request came in this time.")
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&confirm=duplicate")
    page.get_by_role("button", name="Duplicate").click()
    assert TOKEN.match(page.locator("#token").inner_text())
    assert APIKey.objects.get(name="Zoho production 2").rate_limit == 90


def test_a_login_that_ends_loses_nothing_without_a_script_too(
    settings_api: Page, live_server: Any, context: BrowserContext
) -> None:
    page = settings_api
    key = create_api_key(name="Zoho production", scopes=["leads:read"]).key
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks&webhook=new")
    page.get_by_label("URL").fill("https://crm.example/typed")
    page.get_by_label("lead.created").check()
    context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("URL")).to_have_value("https://crm.example/typed")
    expect(page.get_by_label("lead.created")).to_be_checked()
    assert not Webhook.objects.exists()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#secret")).to_be_visible()
    assert Webhook.objects.get().url == "https://crm.example/typed"


def test_deliveries_are_found_read_and_sent_again(settings_api: Page, receiver: Receiver) -> None:
    page = settings_api
    demo.seed()
    webhook = Webhook.objects.get(url="https://flow.zoho.example/calliyo")
    change_webhook(webhook=webhook, url=receiver.url)
    busy_day(webhook)
    page.reload()
    page.get_by_role("link", name="Configure Zoho production").click()
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_role("link", name=f"Deliveries to {receiver.url}").click()
    page.get_by_label("Outcome").select_option("failed")
    page.get_by_role("button", name="Find").click()
    rows = page.locator(".log tbody tr")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    expect(page.get_by_role("dialog")).to_contain_text("HTTP/1.1 500 Internal Server Error")
    page.get_by_role("link", name="All deliveries").click()
    rows.get_by_role("checkbox").check()
    page.get_by_role("button", name="Resend selected").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 delivery is queued.")
    assert Delivery.objects.filter(cause="replay").count() == 1
    page.get_by_role("link", name="All webhooks of this key").click()
    page.get_by_role("button", name="Send test event").first.click()
    expect(page.get_by_role("group", name="Test event")).to_contain_text("200 OK")


def test_a_key_is_renamed_regenerated_paused_and_resumed(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    old = create_api_key(name="Zoho production", scopes=["leads:read"]).key
    page.reload()

    def choose(word: str) -> None:
        page.get_by_role("button", name="More for Zoho").first.click()
        page.locator("[popover]:popover-open").get_by_text(word, exact=True).click()

    choose("Rename")
    name = page.get_by_role("textbox", name="Name")
    name.fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_name_error")).to_contain_text("Give the key a name")
    name.fill("Zoho live")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notices")).to_contain_text("The key is now “Zoho live”.")
    choose("Regenerate Token")
    page.get_by_role("dialog").get_by_role("button", name="Regenerate Token").click()
    assert TOKEN.match(page.locator("#token").inner_text())
    page.get_by_role("link", name="I have copied it").click()
    choose("Deactivate")
    expect(page.locator(".notices")).to_contain_text("“Zoho live” is deactivated")
    choose("Activate")
    expect(page.locator(".notices")).to_contain_text("“Zoho live” is active")
    key = APIKey.objects.get()
    assert (key.name, key.active, key.digest != old.digest) == ("Zoho live", True, True)


def test_a_webhook_is_added_edited_switched_and_deleted(settings_api: Page, live_server: Any) -> None:
    page, dialog = settings_api, settings_api.get_by_role("dialog")
    key = create_api_key(name="Zoho production", scopes=["leads:read"]).key
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks")
    dialog.get_by_role("link", name="Add webhook").click()
    page.get_by_label("URL").fill("http://10.0.0.1/")
    page.get_by_label("note.added").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_url_error")).to_contain_text("This URL is not allowed")
    page.get_by_label("URL").fill("https://crm.example/hook")
    page.get_by_label("Tick the scope Notes read too").check()
    page.get_by_role("button", name="Save").click()
    expect(dialog.locator("#secret")).to_contain_text("whsec_")
    expect(dialog).to_contain_text("The key has the scope Notes read now.")

    def choose(word: str) -> None:
        dialog.get_by_role("button", name="More for https://crm.example").click()
        page.locator("[popover]:popover-open").get_by_text(word, exact=True).click()

    dialog.get_by_role("link", name="Edit https://crm.example/hook").click()
    page.get_by_label("lead.created").check()
    page.get_by_text("Order, rate limit and headers").click()
    page.get_by_label("Deliveries a minute, at most").fill("60")
    page.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("at most 60 a minute")
    choose("Show secret")
    expect(dialog.locator("#secret")).to_contain_text("whsec_")
    choose("Turn off")
    expect(dialog).to_contain_text("https://crm.example/hook is off: no event is sent to it.")
    choose("Turn on")
    expect(dialog).to_contain_text("https://crm.example/hook is on: new events go out.")
    assert Webhook.objects.get().events == ["lead.created", "note.added"]
    choose("Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("No webhooks yet")
    assert not Webhook.objects.exists()


def test_what_failed_is_counted_and_sent_again(settings_api: Page, live_server: Any) -> None:
    page, dialog = settings_api, settings_api.get_by_role("dialog")
    demo.seed()
    hook = Webhook.objects.get(url="https://flow.zoho.example/calliyo")
    busy_day(hook)
    page.goto(
        f"{live_server.url}/settings?tab=api&key={hook.api_key_id}&panel=webhooks&webhook={hook.pk}&do=deliveries"
    )
    dialog.get_by_text("The same as a table").click()
    expect(dialog.get_by_role("region", name="as a table")).to_be_visible()
    dialog.get_by_role("link", name="Resend what failed").click()
    page.get_by_label("Everything that failed").select_option("ever")
    page.get_by_role("button", name="Count").click()
    expect(dialog).to_contain_text("1 event failed and did not arrive later.")
    page.get_by_role("button", name="Resend 1 event").click()
    expect(dialog).to_contain_text("1 delivery is queued.")


def test_a_visitor_logs_in_and_out(page: Page, live_server: Any, console: list[str], priya: User) -> None:
    page.goto(f"{live_server.url}/settings?tab=api&new=looker")
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Name")).to_have_value("Internal Looker")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Priya Nair").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
