"""A burst of deliveries onto a table of which PostgreSQL believes that nothing waits in it: what its plans read.

Told by PostgreSQL's own count of rows and pages, which is the same however busy the machine is.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F

from apikeys.models import APIKey
from calliyo.prepared import fetch_once
from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_webhook
from webhooks.backlog import endpoints
from webhooks.delivery.clock import database_now
from webhooks.delivery.due import Wish, due_deliveries
from webhooks.delivery.health import Facts, Health
from webhooks.delivery.lease import Lease, due_among, due_webhooks, take_leases
from webhooks.delivery.probe import next_probe
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.delivery.target import target_of
from webhooks.models import Delivery, EndpointState, Event, Ordering, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

BURST = 4000
LIMIT = 500
MOST_ROWS = 16 * BURST
"""A plan's nodes hand each row on: half a dozen times where it is read, ten times where it is written."""
MOST_PAGES = 16 * BURST
MOST_PAGES_WRITTEN = 48 * BURST
"""Each of a dozen indexes gets an entry, found from its root."""


@pytest.fixture(autouse=True)
def _statistics_as_taken(transactional_db) -> Iterator[None]:
    """No autovacuum takes others meanwhile: with these, PostgreSQL reads more pages wherever they cost it less."""
    _change("ALTER TABLE {} SET (autovacuum_enabled = off)", "webhooks_event", "webhooks_delivery")
    yield
    _change("ALTER TABLE {} RESET (autovacuum_enabled)", "webhooks_event", "webhooks_delivery")


def _change(statement: str, *names: str) -> None:
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(statement.format(name))


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


def fill(webhook: Webhook, now: datetime, leads: int, *, count: int = BURST, first_lead: int = 0) -> None:
    events = Event.objects.bulk_create(
        Event(
            uid=uuid4(),
            type="lead.updated",
            lead_id=first_lead + number % leads,
            payload="{}",
            created_at=now,
        )
        for number in range(count)
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
    key = APIKey.objects.first() or new_key()
    webhook = new_webhook("http://127.0.0.1:9/", key=key, ordering=ordering)
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


def claim_of(webhook: Webhook, busy_leads: Collection[int] = ()) -> tuple[list[int], int]:
    """What a claim gives, by sequence, and the pages that it costs."""
    wait_for_other_tests()
    now = database_now()
    lease = Lease(webhook.pk, 1, 0)
    wish = Wish(target=target_of(webhook, now), lease=lease, limit=LIMIT, busy_leads=busy_leads)
    with work_of_statements() as done:
        claimed = due_deliveries([wish], now)[webhook.pk]
    return [each.sequence for each in claimed], sum(work.pages for work in done)


def wait_for_other_tests() -> None:
    """Until all transactions have ended that are open at the cluster now.

    While one is, in another test's database too, PostgreSQL may not pass over the dead entries of an index.
    """

    def bound(which: str) -> int:
        [(xid,)] = fetch_once(f"SELECT pg_snapshot_{which}(pg_current_snapshot())::text::bigint", ())
        return xid

    given = bound("xmax")
    wait_until(lambda: bound("xmin") >= given, seconds=120)


def number(webhook: Webhook) -> None:
    take_leases([webhook.pk], holder="me")
    give_positions()
    number_deliveries([webhook.pk])


def few_leads(webhook: Webhook, now: datetime, count: int) -> None:
    fill(webhook, now, 40, count=count)


def one_lead_before_many(webhook: Webhook, now: datetime, count: int) -> None:
    fill(webhook, now, 1, count=count)
    fill(webhook, now + timedelta(milliseconds=1), 2 * LIMIT, count=2 * LIMIT, first_lead=1)


def one_lead_that_waits_for_its_first(webhook: Webhook, now: datetime, count: int) -> None:
    one_lead_before_many(webhook, now, count)
    first = Delivery.objects.filter(state="waiting").order_by("id")[:1].values("pk")
    Delivery.objects.filter(pk__in=first).update(next_attempt_at=now + timedelta(hours=1))


@pytest.mark.parametrize(
    ("waits", "ordering", "busy_leads", "given"),
    [
        (few_leads, Ordering.PER_LEAD, (), LIMIT),
        (few_leads, Ordering.PER_LEAD, range(40), 0),
        (few_leads, Ordering.NONE, range(40), 0),
        (few_leads, Ordering.STRICT, (), LIMIT),
        (one_lead_before_many, Ordering.PER_LEAD, (), LIMIT),
        (one_lead_before_many, Ordering.PER_LEAD, (0,), LIMIT),
        (one_lead_before_many, Ordering.NONE, (0,), LIMIT),
        (one_lead_that_waits_for_its_first, Ordering.PER_LEAD, (), LIMIT),
    ],
)
def test_a_claim_costs_the_same_however_much_waits_behind_it(waits, ordering, busy_leads, given):
    """Few leads with many each were read whole for each claim: draining them grew with the square."""
    costs = []
    for count in (BURST, 4 * BURST):
        webhook = burst(1, ordering)
        Delivery.objects.filter(state="waiting").delete()
        waits(webhook, database_now() - timedelta(seconds=1), count)
        number(webhook)
        claimed, pages = claim_of(webhook, busy_leads)
        assert len(claimed) == given
        costs.append(pages)
        Delivery.objects.all().delete()
    assert costs[1] <= 1.2 * costs[0] and costs[0] <= 60 * LIMIT, costs


@contextmanager
def tall(index: str) -> Iterator[None]:
    """The index with its pages nearly empty, and so with one level more than the others have."""
    _change("ALTER INDEX {0} SET (fillfactor = 10); REINDEX INDEX {0}", index)
    yield
    _change("ALTER INDEX {0} RESET (fillfactor); REINDEX INDEX {0}", index)


@pytest.mark.parametrize("index", ["delivery_due", "delivery_per_lead", "delivery_in_sequence"])
@pytest.mark.parametrize("ordering", Ordering)
def test_a_statement_is_read_by_its_own_index_however_flat_another_is(ordering, index):
    """By the flattest one a claim read all that waits, and for each lead anew: sixteen million pages."""
    webhook = burst(1, ordering)
    fill(webhook, database_now() - timedelta(seconds=1), BURST, count=4 * BURST)
    now = database_now()
    down = Facts(health=Health.DOWN, down_since=now - timedelta(hours=1), probes=3)
    with tall(index):
        with work_of_statements() as done:
            number(webhook)
        assert [work for work in done if work.pages > MOST_PAGES_WRITTEN * 5] == []
        with work_of_statements() as done:
            assert due_webhooks(now, take_over=False) == [] and due_among([webhook.pk], now)
            assert next_probe(webhook.pk, ordering, down, just_failed=None, now=now)
            assert endpoints()[0].oldest_waiting_seconds > 0
        claimed, pages = claim_of(webhook)
    assert len(claimed) == LIMIT and pages <= 20 * LIMIT
    looks = [work for work in done if "GROUP BY" not in work.statement]  # to count all, all is read
    assert len(looks) >= 4 and [work for work in looks if work.pages > 20 * LIMIT] == []


def test_draining_twice_as_much_costs_twice_as_much():
    costs = []
    for count in (BURST, 2 * BURST):
        webhook = new_webhook("http://127.0.0.1:9/", key=APIKey.objects.first() or new_key())
        few_leads(webhook, database_now(), count)
        number(webhook)
        left, cost = count, 0
        while left:
            claimed, pages = claim_of(webhook)
            assert len(claimed) == LIMIT
            Delivery.objects.filter(webhook=webhook, sequence__in=claimed).update(
                state="delivered", next_attempt_at=None, finished_at=database_now()
            )
            left, cost = left - len(claimed), cost + pages
        costs.append(cost)
    assert 1.6 <= costs[1] / costs[0] <= 2.4, costs


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("leads", [BURST, 40, 1])
def test_strict_order_and_probes_never_read_through_what_is_delivered(leads, analyzed):
    """The index of all sequences has what was ever delivered: only the partial one is small."""
    webhook = burst(leads, Ordering.STRICT)
    Delivery.objects.filter(state="delivered").update(sequence=F("id"))
    EndpointState.objects.update_or_create(
        webhook=webhook, defaults={"last_sequence": Delivery.objects.latest("id").pk}
    )
    number(webhook)
    if analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE webhooks_event, webhooks_delivery")
    claimed, pages = claim_of(webhook)
    assert len(claimed) == LIMIT and pages <= 8 * LIMIT
    now = database_now()
    down = Facts(health=Health.DOWN, down_since=now - timedelta(hours=1), probes=3)
    for ordering in (Ordering.STRICT, Ordering.PER_LEAD):
        with work_of_statements() as done:
            first = next_probe(webhook.pk, ordering, down, just_failed=None, now=now)
            next_probe(webhook.pk, ordering, down, just_failed=first and first.delivery_id, now=now)
        # From lead to lead it passes the dead that no vacuum has cleared away yet.
        assert done and max(work.pages for work in done) <= 6 * LIMIT, done
