"""On a slow network each action shows that it is under way, and a second click does nothing more."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from django.core.signals import request_started
from playwright.sync_api import Locator, Page, expect

from apikeys.models import APIKey
from tests.browser import demo
from tests.browser.test_manual import menu, row
from tests.deliveries import busy_day
from tests.processes import Receiver
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.operations import change_webhook

# In one go, for a page that is about to be left answers no more questions.
TWO_CLICKS = """async button => {
    const says = () => [...document.querySelectorAll("[data-live]")].some(live => live.textContent.includes("…"));
    button.click();
    for (let round = 0; round < 250 && !says(); round++) await new Promise(resolve => setTimeout(resolve, 20));
    const seen = [button.getAttribute("aria-disabled"), says()];
    button.click();
    return seen;
}"""


@pytest.fixture
def slowly(settings_api: Page) -> Iterator[Callable[[Locator], None]]:
    """`slowly(button)`: clicks twice while the server does not answer what the first click sent; then it answers."""
    sent: list[str] = []
    arrived, answered = Event(), Event()
    clicks = 0

    def stall(environ: dict[str, Any], **_: object) -> None:
        if environ["REQUEST_METHOD"] == "POST":
            sent.append(environ["PATH_INFO"])
            arrived.set()
            answered.wait(20)

    def click(button: Locator) -> None:
        nonlocal clicks
        clicks += 1
        arrived.clear()
        answered.clear()
        assert button.evaluate(TWO_CLICKS) == ["true", True]
        assert arrived.wait(20)
        answered.set()

    request_started.connect(stall)
    yield click
    answered.set()
    request_started.disconnect(stall)
    assert len(sent) == clicks


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
    key = demo.seed()["zoho"]
    page.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks&webhook=new")
    page.get_by_label("URL").fill("https://crm.example/hook")
    page.get_by_label("lead.created").check()
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
    assert len(receiver.requests) == 1
    busy_day(hook)
    dialog.get_by_role("link", name=f"Deliveries to {receiver.url}").click()
    page.locator(".log tbody").get_by_role("checkbox").first.check()
    slowly(dialog.get_by_role("button", name="Resend selected"))
    expect(dialog).to_contain_text("1 delivery is queued.")
    assert Delivery.objects.filter(cause="replay").count() == 1
    assert Attempt.objects.exists()
