"""The product page as one story, word for word, in a browser; then the same with the keyboard alone."""

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from apikeys.models import APIKey
from apikeys.tokens import digest
from leads.models import User
from webhooks.models import Webhook

TOKEN = re.compile(r"^cly_live_[0-9A-Za-z]{38}$")


def test_the_manual_step_by_step(settings_api: Page) -> None:
    token = creating_a_token(settings_api)
    configuring_scopes(settings_api)
    webhooks(settings_api)
    rotating(settings_api, token)
    revoking(settings_api)


def creating_a_token(page: Page) -> str:
    create(page, "Zoho production")
    token = page.locator("#token").inner_text()
    assert TOKEN.match(token)
    expect(page.get_by_role("dialog")).to_contain_text("Calliyo only stores a hash")
    page.get_by_role("link", name="I have copied it").click()
    expect(row(page, "Zoho production")).to_contain_text("Nothing yet")
    assert token not in page.content()
    assert APIKey.objects.get().digest == digest(token)
    return token


def configuring_scopes(page: Page) -> None:
    page.get_by_role("link", name="Configure Zoho production").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("link", name="Scopes")).to_have_attribute("aria-current", "page")
    drawer.get_by_label("Leads read").check()
    drawer.get_by_label("Tags write").check()
    expect(drawer).to_contain_text("Can see leads; create, change and delete tags without seeing them.")
    drawer.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved", exact=True).first).to_be_visible()
    assert APIKey.objects.get().scopes == ["leads:read", "tags:write"]


def webhooks(page: Page) -> None:
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("link", name="Webhooks").click()
    page.wait_for_url("**&panel=webhooks")
    drawer.get_by_role("link", name="Add webhook").click()
    drawer.get_by_label("URL").fill("https://flow.zoho.example/calliyo")
    drawer.get_by_label("call.completed").check()
    drawer.get_by_role("button", name="Save").click()
    expect(drawer).to_contain_text(
        "call.completed needs the scope Call history read. Tick it below the event, or leave the event out."
    )
    assert not Webhook.objects.exists()
    drawer.get_by_label("call.completed").uncheck()
    drawer.get_by_label("lead.created").check()
    drawer.get_by_role("button", name="Save").click()
    expect(drawer.locator("#secret")).to_have_text(re.compile("^whsec_"))
    expect(drawer).to_contain_text("Delivering")
    assert Webhook.objects.get().events == ["lead.created"]
    page.reload()
    expect(drawer).to_contain_text("Delivering")
    expect(drawer.locator("#secret")).to_have_count(0)
    drawer.get_by_role("link", name="Close").click()


def rotating(page: Page, token: str) -> None:
    menu(page, "Regenerate Token").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The old one stops working immediately")
    dialog.get_by_role("button", name="Regenerate Token").click()
    expect(page.locator("#token")).not_to_have_text(token)
    assert APIKey.objects.get().digest == digest(page.locator("#token").inner_text())
    page.get_by_role("link", name="I have copied it").click()
    expect(dialog).to_have_count(0)


def revoking(page: Page) -> None:
    menu(page, "Deactivate").click()
    listed = row(page, "Zoho production")
    expect(listed).to_contain_text("Deactivated")
    expect(listed).to_contain_text("Paused")
    menu(page, "Activate").click()
    expect(listed).to_contain_text("Active")
    menu(page, "Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type the name of the key").fill("Zoho production")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No API keys yet")).to_be_visible()
    assert not Webhook.objects.exists()


def test_the_token_does_not_come_back(settings_api: Page, context: BrowserContext) -> None:
    page = settings_api
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    create(page, "Internal Looker")
    token = page.locator("#token").inner_text()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.keyboard.press("Escape")
    expect(page.locator("#token")).to_be_visible()

    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]
    assert page.url.endswith("/settings?tab=api")
    expect(row(page, "Internal Looker")).to_be_visible()
    assert token not in page.content()
    page.get_by_role("link", name="Configure Internal Looker").click()
    page.go_back()
    page.go_back()
    assert token not in page.content()
    assert APIKey.objects.count() == 1


def test_back_after_copying_shows_no_token(settings_api: Page) -> None:
    page = settings_api
    create(page, "Marketing form")
    token = page.locator("#token").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    expect(row(page, "Marketing form")).to_be_visible()
    for turn in (page.go_back, page.go_forward, page.go_back):
        turn()
        assert token not in page.content()
    assert APIKey.objects.count() == 1


def test_a_double_click_makes_one_key_and_shows_its_token(settings_api: Page) -> None:
    page = settings_api
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name").fill("Marketing form")
    page.get_by_role("button", name="Save").dblclick()
    expect(page.locator("#token")).to_be_visible()
    assert APIKey.objects.get().digest == digest(page.locator("#token").inner_text())


def test_a_starting_point_fills_the_form(settings_api: Page) -> None:
    page = settings_api
    page.get_by_role("link", name="Internal Looker").click()
    expect(page.get_by_label("Name")).to_have_value("Internal Looker")
    page.get_by_label("Expires").select_option(label="On a date…")
    page.get_by_label("Last day").fill("2031-01-31")
    page.get_by_label("Campaigns read").uncheck()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="I have copied it").click()
    listed = row(page, "Internal Looker")
    expect(listed).to_contain_text("works through 31 Jan 2031")
    assert "campaigns:read" not in APIKey.objects.get().scopes


def test_a_clipboard_that_refuses_leaves_the_token_selected(settings_api: Page) -> None:
    page = settings_api
    page.evaluate("navigator.clipboard.constructor.prototype.writeText = undefined")
    create(page, "Zoho production")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')) }")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("The token is selected")
    assert page.evaluate("getSelection().toString()") == page.locator("#token").inner_text()


def test_the_keyboard_alone_is_enough(settings_api: Page) -> None:
    page = settings_api
    tab_to(page, "Create API Key")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Internal Looker")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy").first).to_be_focused()
    tab_to(page, "I have copied it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tab_to(page, "Configure")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Internal Looker")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "leads:read":
            break
    page.keyboard.press("Space")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved", exact=True).first).to_be_visible()
    assert APIKey.objects.get().scopes == ["leads:read"]
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tab_to(page, "⋯")
    page.keyboard.press("Enter")
    tab_to(page, "Deactivate")
    page.keyboard.press("Enter")
    expect(row(page, "Internal Looker")).to_contain_text("Deactivated")


def test_unsaved_ticks_are_not_lost_by_a_slip(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    create(page, "Zoho production")
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="Configure Zoho production").click()
    page.get_by_label("Leads read").check()
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.keyboard.press("Escape")
    expect(page.get_by_label("Leads read")).to_be_checked()
    assert asked == ["beforeunload"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_switch_holds_over_settings_and_admin(
    settings_api: Page, live_server: Any, scheme: str
) -> None:
    page = settings_api
    page.emulate_media(color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    while page.evaluate("document.documentElement.dataset.theme") in {"auto", scheme}:
        page.locator(".theme-toggle").click()
    after = page.evaluate(ground)
    assert before != after
    page.goto(f"{live_server.url}/admin/")
    assert page.evaluate(ground) == after


def test_the_admin_is_clean_under_the_policy(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    page.goto(f"{live_server.url}/admin/")
    links = page.eval_on_selector_all("#content a[href^='/admin/']", "links => links.map(link => link.href)")
    for link in dict.fromkeys(links):
        answer = page.goto(link)
        assert answer
        assert answer.ok


def test_login_leads_to_the_page_that_was_wanted(
    page: Page, live_server: Any, console: list[str], priya: User
) -> None:
    page.goto(f"{live_server.url}/settings?tab=api&new=looker")
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Name")).to_have_value("Internal Looker")


def create(page: Page, name: str, *, refused: bool = False) -> None:
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_name_error" if refused else "#token")).to_be_visible()


def row(page: Page, name: str) -> Locator:
    """The key's row in the list; the audit has rows of its own."""
    return page.locator(".keys").get_by_role("row", name=name)


def menu(page: Page, word: str) -> Any:
    page.get_by_role("button", name="More for Zoho production").first.click()
    return page.locator("[popover]:popover-open").get_by_text(word, exact=True)


def tab_to(page: Page, words: str) -> None:
    """Presses Tab until the focus is on what bears these words."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == words:
            return
    raise AssertionError(f"the keyboard does not reach {words!r}")
