"""Looking through a webhook's deliveries: every combination of filters finds what a scan finds, in as few queries."""

import itertools
import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.leads.factories import LeadFactory
from tests.webhooks.engines import new_key, new_webhook
from webhooks import delivery_log
from webhooks.catalogue import EventType
from webhooks.delivery_log import Filters, leads_named, page_of, waiting_of
from webhooks.models import Attempt, Delivery, DeliveryState

pytestmark = pytest.mark.django_db

EVENTS = [EventType.LEAD_CREATED, EventType.LEAD_UPDATED, EventType.NOTE_ADDED]
NOW = timezone.now()


def delivery(webhook, number, *, event=EventType.LEAD_CREATED, state=DeliveryState.DELIVERED, lead_id=1):
    waits = state == DeliveryState.WAITING
    return Delivery(
        webhook=webhook,
        event_id=number,
        type=event,
        state=state,
        lead_id=lead_id,
        created_at=NOW,
        sequence=number,
        next_attempt_at=NOW if waits else None,
        finished_at=None if waits else NOW,
    )


@pytest.fixture
def webhook():
    return new_webhook("https://hooks.example.com/in")


def test_every_filter_finds_what_a_scan_finds_page_by_page(webhook):
    chance = random.Random(7)
    for hook in (webhook, new_webhook("https://other.example.com/", key=new_key("Other"))):
        Delivery.objects.bulk_create(
            delivery(
                hook,
                number,
                event=chance.choice(EVENTS),
                state=chance.choice(list(DeliveryState)),
                lead_id=chance.randint(1, 4),
            )
            for number in range(300)
        )
    for event, outcome, lead in itertools.product([None, *EVENTS], [None, *DeliveryState], ["", "3", "77"]):
        scan = Delivery.objects.filter(webhook=webhook).order_by("-pk")
        scan = scan.filter(type=event) if event else scan
        scan = scan.filter(state=outcome) if outcome else scan
        scan = scan.filter(lead_id=lead) if lead else scan
        found, before, more = [], None, True
        while more:
            page = page_of(
                webhook.pk, Filters(event=event, outcome=outcome, lead=lead), before=before, size=20
            )
            found += [row.pk for row in page.deliveries]
            before, more = (found[-1] if found else None), page.more
        assert found == list(scan.values_list("pk", flat=True)), (event, outcome, lead)


@pytest.mark.parametrize(
    ("filters", "queries"),
    [
        (Filters(), 2),
        (Filters(outcome=DeliveryState.FAILED), 2),
        (Filters(event=EventType.LEAD_CREATED), 2),
        (Filters(lead="+919876543210", outcome=DeliveryState.DELIVERED), 4),
    ],
)
def test_a_page_costs_the_same_queries_whatever_lies_behind(webhook, filters, queries):
    LeadFactory.create(phone="+919876543210")
    for rows in (3, 120):
        Delivery.objects.bulk_create(delivery(webhook, Delivery.objects.count() + n) for n in range(rows))
        page_of(webhook.pk, filters)  # the company's row is made by the first who asks
        with CaptureQueriesContext(connection) as captured:
            page_of(webhook.pk, filters)
        assert len(captured) <= queries


def test_the_last_attempt_says_how_long_it_took(webhook):
    Delivery.objects.bulk_create([delivery(webhook, 1), delivery(webhook, 2)])
    first, second = Delivery.objects.order_by("pk")
    for number, total in ((1, 15000.0), (2, 84.0)):
        Attempt.objects.create(
            delivery=first, number=number, started_at=NOW + timedelta(seconds=number), total_ms=total
        )
    newest, oldest = page_of(webhook.pk, Filters()).deliveries
    assert (newest.pk, newest.last_ms, oldest.last_ms) == (second.pk, None, 84.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("98765 43210", True),
        ("+91 (98765) 43210", True),
        ("09876543210", True),
        ("98765", True),
        ("+9198765", True),
        ("43210", False),
        ("asha", False),
        ("9", False),
        ("\x00" * 40, False),
        ("9" * 400, False),
    ],
)
def test_a_lead_is_named_by_its_phone_number_or_the_first_digits(text, found):
    lead = LeadFactory.create(phone="+919876543210")
    assert (lead.pk in leads_named(text)) is found


def test_a_lead_that_is_gone_is_still_found_by_its_number():
    assert leads_named("4711") == [4711]


def test_what_waits_is_counted_up_to_a_limit_in_one_query(webhook, monkeypatch):
    monkeypatch.setattr(delivery_log, "COUNTED", 3)
    other = new_webhook("https://other.example.com/", key=new_key("Other"))
    Delivery.objects.bulk_create(delivery(webhook, n, state=DeliveryState.WAITING) for n in range(9))
    Delivery.objects.bulk_create([delivery(other, 1, state=DeliveryState.WAITING), delivery(other, 2)])
    with CaptureQueriesContext(connection) as queries:
        assert waiting_of([webhook.pk, other.pk]) == {webhook.pk: 4, other.pk: 1}
    assert len(queries) == 1
    assert waiting_of([]) == {}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(), "delivery_by_webhook"),
        (Filters(outcome=DeliveryState.CANCELLED), "delivery_ended"),
        (Filters(event=EventType.NOTE_ADDED), "delivery_ended"),
        (Filters(event=EventType.NOTE_ADDED, outcome=DeliveryState.FAILED), "delivery_ended"),
        (Filters(lead="7"), "delivery_ended_of_lead"),
    ],
)
def test_each_question_is_one_that_an_index_answers(webhook, filters, index):
    *_, question = delivery_log._questions(webhook.pk, filters, 10**6)
    statement, parameters = question.values("pk")[:51].query.sql_with_params()
    explain = "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of an empty table it would rather read all, or sort; that it can do without is what is asked.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            explain = "EXPLAIN"
            index = "using delivery_"  # which of them is a matter of what other tests left in the statistics
        cursor.execute(f"{explain} {statement}", parameters)
        plan = " ".join(str(part) for row in cursor.fetchall() for part in row)
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
