"""Back and reload where a form was refused: what was sent is never sent again, nor does the browser ask to."""

from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, expect

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from tests.browser.test_manual import create
from webhooks.models import Webhook


@pytest.fixture
def tab(settings_api: Page) -> Page:
    """The tab; who leaves what he typed is asked, and leaves."""

    def leave(dialog: Dialog) -> None:
        assert dialog.type == "beforeunload"
        dialog.accept()

    settings_api.on("dialog", leave)
    return settings_api


def test_back_past_a_wrong_name_after_the_key_is_deleted(tab: Page, live_server: Any) -> None:
    key = create_api_key(name="Zoho production").key
    tab.goto(f"{live_server.url}/settings?tab=api&key={key.pk}&confirm=delete")
    typed, delete = (
        tab.get_by_label("Type the name of the key"),
        tab.get_by_role("dialog").get_by_role("button"),
    )
    for name in ("Zoho", "Zoho production"):
        typed.fill(name)
        delete.filter(has_text="Delete").click()
    expect(tab.locator(".notices")).to_contain_text("is deleted")
    for _ in ("where the wrong name was refused", "where the dialog was opened"):
        tab.go_back()
        expect(tab.locator(".notices")).to_contain_text("This no longer exists: it was deleted meanwhile.")
    assert not APIKey.objects.exists()


def test_reload_of_a_refused_name_opens_the_dialog_anew(tab: Page) -> None:
    create(tab, "x" * 100, refused=False)
    assert APIKey.objects.count() == 1
    tab.get_by_role("link", name="I have copied it").click()
    create(tab, "X" * 100, refused=True)
    assert "new=1" in tab.url
    tab.reload()
    expect(tab.get_by_role("dialog", name="Create API Key")).to_be_visible()
    expect(tab.get_by_label("Name")).to_have_value("")
    assert APIKey.objects.count() == 1


def test_back_to_a_refused_name_after_it_was_created_mints_nothing(tab: Page) -> None:
    create_api_key(name="Zoho production")
    create(tab, "Zoho production", refused=True)
    tab.get_by_label("Name").fill("Zoho production 2")
    tab.get_by_role("button", name="Save").click()
    expect(tab.locator("#token")).to_be_visible()
    token = tab.locator("#token").inner_text()
    tab.get_by_role("link", name="I have copied it").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    tab.go_back()
    expect(tab.get_by_label("Name")).to_have_value("")
    assert token not in tab.content()
    assert APIKey.objects.count() == 2


@pytest.mark.parametrize("button", ["Add webhook", "Edit"])
def test_reload_of_a_refused_webhook_opens_its_form_anew(tab: Page, live_server: Any, button: str) -> None:
    key = create_api_key(name="Zoho production", scopes=["leads:read"]).key
    panel = f"{live_server.url}/settings?tab=api&key={key.pk}&panel=webhooks"
    tab.goto(f"{panel}&webhook=new")
    tab.get_by_label("URL").fill("https://crm.example/first")
    tab.get_by_label("lead.created").check()
    tab.get_by_role("button", name="Save").click()
    expect(tab.locator("#secret")).to_be_visible()
    tab.goto(panel)
    tab.get_by_role("link", name=button).click()
    tab.get_by_label("URL").fill("javascript:alert(1)")
    tab.get_by_role("button", name="Save").click()
    expect(tab.locator("#id_url_error")).to_be_visible()
    hook = Webhook.objects.get()
    assert tab.url.endswith("&webhook=new" if button == "Add webhook" else f"&webhook={hook.pk}")
    tab.reload()
    expect(tab.get_by_label("URL")).to_have_value("" if button == "Add webhook" else hook.url)
    assert Webhook.objects.get().url == "https://crm.example/first"
