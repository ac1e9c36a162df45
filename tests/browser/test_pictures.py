"""Each state of the API tab, light and dark, narrow to wide: for people to look at, and none may scroll sideways."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apikeys.operations import set_scopes
from leads.models import User
from tests.browser import demo
from tests.browser.test_manual import create
from tests.processes import Receiver

WIDTHS = pytest.mark.parametrize("width", [320, 768, 1280, 1920])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
STATES = {
    "list": "",
    "create": "&new=zoho",
    "scopes": "&key={zoho}&panel=scopes",
    "webhooks": "&key={zoho}&panel=webhooks",
    "webhook-form": "&key={zoho}&panel=webhooks&webhook=new",
    "regenerate": "&key={zoho}&confirm=regenerate",
    "usage": "&key={zoho}&panel=usage",
    "usage-none": "&key={form}&panel=usage",
    "scopes-idle": "&key={looker}&panel=scopes",
    "audit": "#audit",
    "search": "&q=o",
    "search-nothing": "&q=nothing such",
    "rename": "&key={zoho}&confirm=rename",
    "duplicate": "&key={zoho}&confirm=duplicate",
    "delete": "&key={zoho}&confirm=delete",
}


@SCHEMES
@WIDTHS
def test_every_state_fits_the_screen(
    page: Page,
    live_server: Any,
    logged_in: Callable[[User], None],
    priya: User,
    picture: Callable[..., None],
    width: int,
    scheme: str,
) -> None:
    logged_in(priya)
    look(page, width, scheme)
    page.goto(f"{live_server.url}/settings?tab=api")
    picture(f"empty-{scheme}-{width}")
    ids = {name: key.pk for name, key in demo.seed().items()}
    for state, address in STATES.items():
        page.goto(f"{live_server.url}/settings?tab=api{address.format(**ids)}")
        picture(f"{state}-{scheme}-{width}")
        fits(page, width)


@SCHEMES
@WIDTHS
def test_every_answer_fits_the_screen(
    settings_api: Page,
    live_server: Any,
    picture: Callable[..., None],
    receiver: Receiver,
    width: int,
    scheme: str,
) -> None:
    page = settings_api
    look(page, width, scheme)

    def seen(state: str) -> None:
        fits(page, width)
        picture(f"{state}-{scheme}-{width}")

    keys = demo.seed()
    zoho = f"{live_server.url}/settings?tab=api&key={keys['zoho'].pk}"
    create(page, "Field team’s own dialler")
    seen("token")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    create(page, "Zoho production", refused=True)
    seen("create-refused")
    page.goto(f"{zoho}&panel=scopes")
    page.get_by_label("Leads read").uncheck()
    expect(page.get_by_role("dialog")).to_contain_text("will stop at")
    seen("scopes-stopping")
    set_scopes(key=keys["zoho"], scopes=["leads:read", "calls:read"])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("was changed since you opened it")
    seen("scopes-changed-meanwhile")
    page.goto(f"{zoho}&panel=webhooks&webhook=new")
    page.get_by_label("URL").fill("http://10.0.0.1/")
    page.get_by_label("note.added").check()
    page.get_by_label("Type my own").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_url_error")).to_be_visible()
    seen("webhook-refused")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("note.added").uncheck()
    page.get_by_label("lead.created").check()
    page.get_by_label("Generate one").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#secret")).to_be_visible()
    seen("secret")
    page.get_by_role("button", name="Send test event").last.click()
    expect(page.get_by_role("group", name="Test event")).to_contain_text("X-Calliyo-Signature")
    seen("test-event")
    page.goto(f"{live_server.url}/settings?tab=api")
    page.get_by_role("button", name="More for Marketing form").click()
    seen("menu")
    page.get_by_role("button", name="Deactivate").click()
    expect(page.locator(".notices")).to_contain_text("is deactivated")
    seen("deactivated")


@SCHEMES
@WIDTHS
def test_the_limits_fit_the_screen(
    settings_api: Page, live_server: Any, picture: Callable[..., None], width: int, scheme: str
) -> None:
    page = settings_api
    look(page, width, scheme)
    page.goto(f"{live_server.url}/settings?tab=api&key={demo.seed()['zoho'].pk}")
    page.locator("details.fold > summary").click()
    page.get_by_label("Requests a minute").scroll_into_view_if_needed()
    fits(page, width)
    picture(f"limits-{scheme}-{width}")
    page.get_by_label("Allowed addresses").fill("the office")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_allowed_addresses_error")).to_be_visible()
    fits(page, width)
    picture(f"limits-refused-{scheme}-{width}")


@SCHEMES
@WIDTHS
def test_the_admin_wears_the_same_clothes(
    page: Page,
    live_server: Any,
    logged_in: Callable[[User], None],
    priya: User,
    picture: Callable[..., None],
    width: int,
    scheme: str,
) -> None:
    look(page, width, scheme)
    page.goto(f"{live_server.url}/admin/login/")
    picture(f"login-{scheme}-{width}")
    logged_in(priya)
    demo.seed()
    for name, address in {
        "index": "",
        "leads": "leads/lead/",
        "user": f"leads/user/{priya.pk}/change/",
    }.items():
        page.goto(f"{live_server.url}/admin/{address}")
        picture(f"admin-{name}-{scheme}-{width}", judged=False)  # Django's own markup


def look(page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})


def fits(page: Page, width: int) -> None:
    """Nothing is wider than the screen."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for dialog in page.query_selector_all("dialog"):
        assert dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0


def test_the_readmes_picture(settings_api: Page, picture: Callable[..., None]) -> None:
    """`docs/images/settings-api.png` is a copy of this one."""
    demo.seed()
    look(settings_api, 1280, "light")
    settings_api.set_viewport_size({"width": 1280, "height": 676})
    settings_api.reload()
    picture("settings-api")
