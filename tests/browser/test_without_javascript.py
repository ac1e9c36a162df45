"""Reading, and every form's plain POST, need no script."""

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect

from apikeys.models import APIKey
from apikeys.operations import create_api_key
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
