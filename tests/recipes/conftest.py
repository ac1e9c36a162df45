"""A live Calliyo, and the key that a page tells its reader to create."""

import pytest

from tests.clients import public_client
from tests.languages import HERE
from tests.pages import Page
from tests.recipes.exchanges import Conversation


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out programs in a language that is not here; the head of the output says which (`tests.languages`)."""
    missing = [
        item for item in items if any(mark.args[0] not in HERE for mark in item.iter_markers("language"))
    ]
    config.hook.pytest_deselected(items=missing)
    items[:] = [item for item in items if item not in missing]


@pytest.fixture
def follow(transactional_db, live_server):
    """`follow(page)`: a key with the scopes that the page names, and what talks to the server with it."""

    def make(page: Page, **options):
        client = public_client(*page.scopes(), **options)
        return client, Conversation(address=live_server.url, token=client.token)

    return make
