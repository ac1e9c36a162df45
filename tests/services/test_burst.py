"""A burst of deliveries onto a table of which PostgreSQL believes that nothing waits in it: what its plans read.

Told by PostgreSQL's own count of rows and pages, which is the same however busy the machine is.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest
from django.db import connection

from tests.webhooks.engines import new_webhook
from webhooks.delivery.clock import database_now
from webhooks.delivery.due import Wish, due_deliveries
from webhooks.delivery.health import Facts, Health
from webhooks.delivery.lease import take_leases
from webhooks.delivery.probe import next_probe
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.delivery.target import target_of
from webhooks.models import Delivery, Event, Ordering, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

BURST = 4000
LIMIT = 500
MOST_ROWS = 16 * BURST
"""A plan's nodes hand each row on: half a dozen times where it is read, ten times where it is written."""
MOST_PAGES = 16 * BURST
MOST_PAGES_WRITTEN = 48 * BURST
"""Each of a dozen indexes gets an entry, found from its root."""


@pytest.fixture(autouse=True)
def real_services():
    assert connection.vendor == "postgresql", "these tests are for `make test-services`"


class Work(NamedTuple):
    """What one statement did: rows that its plan's nodes gave or threw away, and pages that they asked for."""

    statement: str
    rows: int
    pages: int

    def is_too_much(self) -> bool:
        """Whether it is more than so much for each row of the burst."""
        most_pages = MOST_PAGES_WRITTEN if "UPDATE" in self.statement else MOST_PAGES
        return self.rows > MOST_ROWS or self.pages > most_pages


@contextmanager
def work_of_statements() -> Iterator[list[Work]]:
    """What each statement of this connection did, while the block lasts."""
    done: list[Work] = []

    def take(diagnostic) -> None:
        _, _, plan = diagnostic.message_primary.partition("plan:\n")
        told = json.loads(plan)
        pages = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
        done.append(Work(" ".join(told["Query Text"].split()), rows_of(told["Plan"]), pages))

    with connection.cursor() as cursor:
        cursor.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;"
            "SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off;"
            "SET auto_explain.log_format = 'json'; SET auto_explain.log_level = 'notice'"
        )
    connection.connection.add_notice_handler(take)
    try:
        yield done
    finally:
        connection.close()  # and what was set goes with it


def rows_of(node) -> int:
    thrown_away = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    below = sum(rows_of(inner) for inner in node.get("Plans", ()))
    return node["Actual Loops"] * (node["Actual Rows"] + thrown_away) + below


def fill(webhook: Webhook, now: datetime, leads: int) -> None:
    events = Event.objects.bulk_create(
        Event(uid=uuid4(), type="lead.updated", lead_id=number % leads, payload="{}", created_at=now)
        for number in range(BURST)
    )
    Delivery.objects.bulk_create(
        Delivery(
            webhook=webhook,
            event=event,
            type=event.type,
            lead_id=event.lead_id,
            created_at=now,
            next_attempt_at=now,
        )
        for event in events
    )


def burst(leads: int, ordering: Ordering = Ordering.PER_LEAD) -> Webhook:
    """A webhook for which so many wait at once, in a table whose statistics were taken when nothing did."""
    webhook = new_webhook("http://127.0.0.1:9/", ordering=ordering)
    now = database_now()
    fill(webhook, now, leads)
    Delivery.objects.update(state="delivered", next_attempt_at=None, finished_at=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_event, webhooks_delivery")
    fill(webhook, now, leads)
    return webhook


@pytest.mark.parametrize("leads", [BURST, 40])
@pytest.mark.parametrize("ordering", Ordering)
def test_a_burst_is_numbered_and_claimed_without_reading_all_for_each(ordering, leads):
    """Joins of what waits, planned for one row, took seconds here and grew with the square."""
    webhook = burst(leads, ordering)
    now = database_now()
    [lease] = take_leases([webhook.pk], holder="me")
    wish = Wish(
        target=target_of(webhook, now), lease=lease, limit=LIMIT, asides_before=now - timedelta(minutes=10)
    )
    with work_of_statements() as done:
        give_positions()
        assert number_deliveries([webhook.pk]) == BURST
        claimed = due_deliveries([wish], now)[webhook.pk]
    assert [each.sequence for each in claimed] == list(range(1, LIMIT + 1))
    for step in ("UPDATE webhooks_event", "UPDATE webhooks_delivery", "SELECT picked"):
        assert [work.rows for work in done if step in work.statement]
    assert [work for work in done if work.is_too_much()] == []


@pytest.mark.parametrize("leads", [BURST, 40, 1])
def test_the_next_probe_is_found_in_a_burst_without_reading_all_for_each(leads):
    webhook = burst(leads)
    take_leases([webhook.pk], holder="me")
    give_positions()
    number_deliveries([webhook.pk])
    now = database_now()
    down = Facts(health=Health.DOWN, down_since=now - timedelta(hours=1), probes=3)
    with work_of_statements() as done:
        first = next_probe(webhook.pk, Ordering.PER_LEAD, down, just_failed=None, now=now)
        second = next_probe(
            webhook.pk, Ordering.PER_LEAD, down, just_failed=first and first.delivery_id, now=now
        )
    assert first and second and first.delivery_id < second.delivery_id
    assert done and [work for work in done if work.is_too_much()] == []
