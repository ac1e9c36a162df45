"""A live Calliyo, and the key that a page tells its reader to create."""

import pytest

from tests.clients import public_client
from tests.pages import Page
from tests.recipes.exchanges import Conversation


@pytest.fixture
def follow(transactional_db, live_server):
    """`follow(page)`: a key with the scopes that the page names, and what talks to the server with it."""

    def make(page: Page, **options):
        client = public_client(*page.scopes(), **options)
        return client, Conversation(address=live_server.url, token=client.token)

    return make
