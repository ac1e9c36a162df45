"""On a slow network each action shows that it is under way, and a second click does nothing more."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from apikeys.models import APIKey
from tests.browser import demo
from tests.browser.test_manual import menu, row
from tests.deliveries import busy_day
from tests.processes import Receiver
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.operations import change_webhook


@pytest.fixture
def slowly(settings_api: Page) -> Callable[[Locator], None]:
    """`slowly(button)`: two clicks on it, while the network holds what the first one sends; then lets it go."""
    page = settings_api
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route("**/settings/api/**", hold)

    def click(button: Locator) -> None:
        held.clear()
        element = button.element_handle()
        with page.expect_request(lambda request: request.method == "POST"):
            element.evaluate("button => button.click()")
        assert element.get_attribute("aria-disabled") == "true"
        expect(page.locator("[data-live]").filter(has_text="…")).not_to_have_count(0)
        element.evaluate("button => button.click()")
        assert len(held) == 1
        held[0].continue_()

    return click


def test_a_key_from_its_birth_to_its_end(settings_api: Page, slowly: Callable[[Locator], None]) -> None:
    page, dialog = settings_api, settings_api.get_by_role("dialog")
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name").fill("Zoho production")
    slowly(dialog.get_by_role("button", name="Save"))
    expect(page.locator("#token")).to_be_visible()
    page.get_by_role("link", name="I have copied it").click()
    expect(dialog).to_have_count(0)
    digest = APIKey.objects.get().digest
    page.get_by_role("link", name="Configure Zoho production").click()
    page.get_by_label("Leads read").check()
    page.locator("details.fold > summary").click()
    page.get_by_label("Requests a minute").fill("90")
    slowly(dialog.get_by_role("button", name="Save"))
    expect(page.get_by_text("Saved", exact=True).first).to_be_visible()
    dialog.get_by_role("link", name="Close").click()
    menu(page, "Regenerate Token").click()
    slowly(dialog.get_by_role("button", name="Regenerate Token"))
    expect(page.locator("#token")).to_be_visible()
    key = APIKey.objects.get()
    assert (key.scopes, key.rate_limit, key.version) == (["leads:read"], 90, 4)
    assert key.digest != digest
    page.get_by_role("link", name="I have copied it").click()
    expect(dialog).to_have_count(0)
    slowly(menu(page, "Deactivate"))
    expect(row(page, "Zoho production")).to_contain_text("Deactivated")
    menu(page, "Delete").click()
    page.get_by_label("Type the name of the key").fill("Zoho production")
    slowly(dialog.get_by_role("button", name="Delete"))
    expect(page.get_by_text("No API keys yet")).to_be_visible()
    expect(page.locator(".notices li")).to_have_count(1)


def test_a_webhook_and_its_deliveries(
    settings_api: Page, live_server: Any, receiver: Receiver, slowly: Callable[[Locator], None]
) -> None:
    page, dialog = settings_api, settings_api.get_by_role("dialog")
    key = demo.seed()["dialler"]
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks&webhook=new")
    page.get_by_label("URL").fill("https://crm.example/hook")
    page.get_by_label("call.completed").check()
    page.get_by_label("None: events are not signed").check()
    slowly(dialog.get_by_role("button", name="Save"))
    expect(dialog.get_by_text("Saved", exact=True).first).to_be_visible()
    hook = Webhook.objects.get(url="https://crm.example/hook")
    dialog.get_by_role("link", name="Edit https://crm.example/hook").click()
    page.get_by_label("URL").fill("https://crm.example/changed")
    slowly(dialog.get_by_role("button", name="Save"))
    expect(dialog.get_by_text("https://crm.example/changed")).to_be_visible()
    hook.refresh_from_db()
    assert hook.version == 2
    change_webhook(webhook=hook, url=receiver.url)
    page.reload()
    slowly(dialog.get_by_role("button", name="Send test event").last)
    expect(page.get_by_role("group", name="Test event")).to_contain_text("200 OK")
    assert len(receiver.received) == 1
    busy_day(hook)
    dialog.get_by_role("link", name=f"Deliveries to {receiver.url}").click()
    page.locator(".log tbody").get_by_role("checkbox").first.check()
    slowly(dialog.get_by_role("button", name="Resend selected"))
    expect(dialog).to_contain_text("1 delivery is queued.")
    assert Delivery.objects.filter(cause="replay").count() == 1
    assert Attempt.objects.exists()
