"""What the tests of the webhooks' API share."""

import pytest


@pytest.fixture
def n8n(client_with):
    """A client whose key may manage webhooks."""
    return client_with("leads:read", "notes:read", manage_webhooks=True, name="n8n")
