"""Each state of the API tab, light and dark, narrow to wide: for people to look at, and none may scroll sideways."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from leads.models import User
from tests.browser import demo

STATES = {
    "list": "",
    "create": "&new=zoho",
    "scopes": "&key={zoho}&panel=scopes",
    "webhooks": "&key={zoho}&panel=webhooks",
    "webhook-form": "&key={zoho}&panel=webhooks&webhook=new",
    "regenerate": "&key={zoho}&confirm=regenerate",
    "delete": "&key={zoho}&confirm=delete",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280, 1920])
def test_every_state_fits_the_screen(
    page: Page,
    live_server: Any,
    logged_in: Callable[[User], None],
    priya: User,
    picture: Callable[[str], None],
    width: int,
    scheme: str,
) -> None:
    logged_in(priya)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{live_server.url}/settings?tab=api")
    picture(f"empty-{scheme}-{width}")
    ids = {name: key.pk for name, key in demo.seed().items()}
    for state, address in STATES.items():
        page.goto(f"{live_server.url}/settings?tab=api{address.format(**ids)}")
        picture(f"{state}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for dialog in page.query_selector_all("dialog"):
            assert dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0
