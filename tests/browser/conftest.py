"""A real browser on a live Calliyo. Whatever a test does, its console must stay empty."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.test import Client
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from calliyo.settings import BASE_DIR
from leads.models import Role, User
from tests import servers

# Playwright runs an event loop of its own in this thread; Django's guard takes it for ours.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What Chromium remarks on Django's own form for users, where nothing is wrong.
HINTS = ("[DOM] Input elements should have autocomplete", "Autofocus processing was blocked")
AXE_LOOKS_AT = (320, 1280)  # what lies between them differs in nothing that it judges
# A machine that is busy is no fault of a page.
expect.set_options(timeout=20_000)
SCREENSHOTS = BASE_DIR / ".data" / "screenshots"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks these tests, and runs them after all others: see the loop above, from which Django's connections differ."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture(scope="session")
def base_url() -> None:
    """Addresses are given whole. The plugin's own fixture is written in a way that pytest 9 warns of."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": servers.chromium(), "args": CHROMIUM}


@pytest.fixture
def priya(transactional_db: None) -> User:
    return User.objects.create_user(
        "priya", "priya@example.com", "correct horse", name="Priya Nair", role=Role.COMPANY_ADMIN
    )


@pytest.fixture(autouse=True)
def all_answered(transactional_db: None) -> Iterator[None]:
    """Lets the server end what the closed browser has left there, before the database is taken from it."""
    changed, under_way = threading.Condition(), 0

    def begun(**_: Any) -> None:
        count(1)

    def ended(**_: Any) -> None:
        count(-1)

    def count(by: int) -> None:
        nonlocal under_way
        with changed:
            under_way += by
            changed.notify_all()

    request_started.connect(begun)
    request_finished.connect(ended)
    yield
    with changed:
        assert changed.wait_for(lambda: under_way <= 0, timeout=20), f"{under_way} requests never ended"
    request_started.disconnect(begun)
    request_finished.disconnect(ended)


@pytest.fixture
def console(context: BrowserContext) -> Iterator[list[str]]:
    """What the browser complained of; a test may look, and what it leaves there fails it."""
    lines: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if not message.text.startswith(HINTS):
            lines.append(f"{message.type}: {message.text}")

    context.on("console", note)
    context.on("weberror", lambda error: lines.append(f"error: {error.error}"))
    yield lines
    assert lines == []


@pytest.fixture
def logged_in(context: BrowserContext, live_server: Any, console: list[str]) -> Callable[[User], None]:
    """Gives the browser the session of a user."""

    def log_in(user: User) -> None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])

    return log_in


@pytest.fixture
def settings_api(page: Page, live_server: Any, logged_in: Callable[[User], None], priya: User) -> Page:
    """Priya's browser on Settings → API."""
    logged_in(priya)
    page.goto(f"{live_server.url}/settings?tab=api")
    return page


@pytest.fixture
def accessible(page: Page) -> Callable[[], None]:
    """Fails where axe-core finds something wrong with what is on the screen."""

    def check() -> None:
        found = Axe().run(page)
        assert not found.violations_count, f"{page.url}\n{found.generate_report()}"

    return check


@pytest.fixture
def picture(page: Page, accessible: Callable[[], None]) -> Callable[..., None]:
    """Writes what is on the screen to `.data/screenshots/`, for people to look at; axe-core judges what is ours."""

    def take(name: str, *, judged: bool = True) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")
        size = page.viewport_size
        if judged and size and size["width"] in AXE_LOOKS_AT:
            accessible()

    return take
