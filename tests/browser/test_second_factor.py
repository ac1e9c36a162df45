"""The second factor as its owner lives with it: on, in with a code, in without the phone, off."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Locator, Page, expect

from leads.models import SecondFactor, User
from tests.browser.test_manual import tab_to
from tests.browser.test_pictures import SCHEMES, WIDTHS, fits, look
from tests.second_factor import app_code

PASSWORD = "correct horse"


def key_on(page: Page) -> str:
    return page.locator("#key").inner_text().replace(" ", "")


def code_in(page: Page) -> Locator:
    """Where the app's code is typed: not the picture, nor the recovery code."""
    return page.get_by_role("textbox", name=re.compile("^Code"))


def open_page(page: Page) -> None:
    page.get_by_role("button", name="Priya Nair").click()
    page.get_by_role("link", name="Second factor").click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()


def switch_on(page: Page) -> tuple[str, list[str]]:
    """On its page; leaves the recovery codes on the screen, and gives the key and them."""
    key = key_on(page)
    page.get_by_label("Password").fill(PASSWORD)
    code_in(page).fill(app_code(key))
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("dialog", name="Your recovery codes")).to_be_visible()
    return key, page.locator("#recovery-codes").inner_text().split()


def log_out_and_give_password(page: Page) -> None:
    page.get_by_role("button", name="Priya Nair").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Enter a code")).to_be_visible()
    expect(code_in(page)).to_be_focused()


def test_on_in_with_a_code_in_without_the_phone_and_off(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    open_page(page)
    key, recovery_codes = switch_on(page)
    assert len(recovery_codes) == 10
    page.reload()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("10 recovery codes are left.")).to_be_visible()
    for turn in (page.go_back, page.go_forward):
        turn()
        assert recovery_codes[0] not in page.content() and key not in page.content().replace(" ", "")
    page.goto(f"{live_server.url}/settings?tab=api")
    log_out_and_give_password(page)
    page.goto(f"{live_server.url}/settings?tab=api")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    code_in(page).fill(app_code(key, steps=1))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/settings?tab=api")
    log_out_and_give_password(page)
    page.get_by_text("Without the phone").click()
    page.get_by_label("Recovery code").fill(recovery_codes[0])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".messagelist")).to_contain_text("9 recovery codes are left.")
    open_page(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_text("Without the phone").click()
    page.get_by_label("Recovery code").fill(recovery_codes[1])
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator(".notices")).to_contain_text("the password is enough")
    assert not SecondFactor.objects.exists()


def test_a_form_that_was_typed_before_the_login_ended_is_there_after_both_steps(
    settings_api: Page, live_server: Any
) -> None:
    page = settings_api
    open_page(page)
    key, _ = switch_on(page)
    page.get_by_role("link", name="I have kept them").click()
    page.goto(f"{live_server.url}/settings?tab=api&new=1")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_label("Name").fill("Marketing form")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    code_in(page).fill(app_code(key, steps=1))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Name")).to_have_value("Marketing form")


def test_the_keyboard_alone_switches_it_on_and_logs_in(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    page.goto(f"{live_server.url}/settings/second-factor")
    key = key_on(page)
    page.get_by_role("button", name="Copy").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    expect(code_in(page)).to_be_focused()
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    expect(page.locator("#id_code_error")).to_be_visible()
    expect(code_in(page)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.type(app_code(key))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy").last).to_be_focused()
    tab_to(page, "I have kept them")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.goto(f"{live_server.url}/admin/")
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("priya")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(code_in(page)).to_be_focused()
    page.keyboard.type(app_code(key, steps=1))
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    expect(page.get_by_role("button", name="Priya Nair")).to_be_visible()


def test_reload_of_a_refused_form_sends_nothing_again(settings_api: Page, live_server: Any) -> None:
    page = settings_api
    open_page(page)
    switch_on(page)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_label("Password").fill(PASSWORD)
    code_in(page).fill("000000")
    page.get_by_role("button", name="Use another app").click()
    expect(page.locator("#id_code_error")).to_be_visible()
    page.reload()
    expect(page.locator("#id_code_error")).to_have_count(0)
    assert SecondFactor.objects.get().throttling_failure_count == 1


@SCHEMES
@WIDTHS
def test_every_state_fits_the_screen(
    settings_api: Page, live_server: Any, picture: Callable[..., None], width: int, scheme: str
) -> None:
    page = settings_api
    look(page, width, scheme)

    def seen(state: str) -> None:
        fits(page, width)
        picture(f"factor-{state}-{scheme}-{width}")

    page.goto(f"{live_server.url}/settings/second-factor")
    seen("setup")
    page.get_by_label("Password").fill(PASSWORD)
    code_in(page).fill("000000")
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator("#id_code_error")).to_be_visible()
    code_in(page).scroll_into_view_if_needed()
    seen("setup-refused")
    _, recovery_codes = switch_on(page)
    seen("recovery-codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    seen("on")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#id_password_error")).to_be_visible()
    seen("on-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_text("Without the phone").click()
    page.get_by_label("Recovery code").fill(recovery_codes[0])
    page.get_by_role("button", name="Use another app").click()
    expect(page.get_by_role("button", name="Keep the app that I have")).to_be_visible()
    seen("anew")
    page.get_by_role("button", name="Keep the app that I have").click()
    expect(page.get_by_text("Change it")).to_be_visible()
    log_out_and_give_password(page)
    seen("login")
    code_in(page).fill("000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errornote")).to_be_visible()
    page.get_by_text("Without the phone").click()
    seen("login-refused")


@pytest.fixture
def without_script(browser: Any, live_server: Any, priya: User, console: list[str]) -> Any:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_both_steps_and_the_page_need_no_script(without_script: Page, live_server: Any) -> None:
    page = without_script
    page.goto(f"{live_server.url}/settings/second-factor")
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    _, recovery_codes = switch_on(page)
    page.get_by_role("link", name="I have kept them").click()
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.reload()
    page.get_by_label("Username").fill("priya")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("Without the phone").click()
    page.get_by_label("Recovery code").fill(recovery_codes[0])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("9 recovery codes are left.").first).to_be_visible()
