"""How PostgreSQL counts what a replay would send: with half a million deliveries waiting, too."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.webhooks.engines import new_key, new_webhook
from webhooks import replay
from webhooks.delivery.clock import database_now

pytestmark = [pytest.mark.django_db, pytest.mark.services]


@pytest.mark.parametrize("kind", ["since", "missed", "failed"])
def test_no_event_is_compared_with_all_that_waits(kind):
    """`NOT IN` is, as soon as what waits does not fit into the memory of one statement: it took minutes."""
    webhook = new_webhook("http://127.0.0.1:9/", key=new_key("Zoho"))
    yesterday = database_now() - timedelta(days=1)
    choices = {
        "since": lambda: replay.everything_since(webhook, yesterday),
        "missed": lambda: replay.missed(webhook),
        "failed": lambda: replay.failed(webhook, since=yesterday),
    }
    with CaptureQueriesContext(connection) as queries:
        replay.count(choices[kind]())
    counts = [query["sql"] for query in queries if "GROUP BY" in query["sql"]]
    assert len(counts) == 2
    with connection.cursor() as cursor:
        for sql in counts:
            cursor.execute(f"EXPLAIN {sql}", None)
            assert "SubPlan" not in "\n".join(line for (line,) in cursor.fetchall())
