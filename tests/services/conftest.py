"""What all tests on real services share."""

import pytest
from django.db import connection


@pytest.fixture(autouse=True)
def real_services() -> None:
    assert connection.vendor == "postgresql", "these tests are for `make test-services`"
