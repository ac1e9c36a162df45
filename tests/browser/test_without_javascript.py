"""Reading, and every form's plain POST, need no script."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apikeys.models import APIKey
from tests.browser.test_manual import TOKEN


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
