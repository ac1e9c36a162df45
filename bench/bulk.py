"""A change of ten thousand leads at once with three webhooks, beside the bare SQL of as many rows."""

import itertools
import os
import time
from typing import Any

from django.db import connection, transaction

from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from bench.backlog import forget, payload
from bench.timing import Figure, interleaved, ratios
from leads.models import Lead, LeadStatus
from webhooks.models import Delivery
from webhooks.operations import subscribe

QUICK = "BENCH_QUICK" in os.environ
LEADS = 2000 if QUICK else 10_000
ROUNDS = 2 if QUICK else 5
WEBHOOKS = 3
_numbers = itertools.count(1)

_UPDATE = (
    "UPDATE leads_lead SET source = %s, version = version + 1, updated_at = now() WHERE first_name = 'Bulk'"
)
_EVENTS = """
    INSERT INTO webhooks_event (uid, type, lead_id, payload, actor_type, created_at)
    SELECT gen_random_uuid(), 'lead.updated', id, %s, 'system', now() FROM leads_lead WHERE first_name = 'Bulk'
    ORDER BY id
"""
_DELIVERIES = """
    INSERT INTO webhooks_delivery
        (webhook_id, event_id, type, lead_id, cause, state, attempts, created_at, next_attempt_at, last_error)
    SELECT w.id, e.id, e.type, e.lead_id, 'event', 'waiting', 0, e.created_at, e.created_at, ''
    FROM webhooks_event e CROSS JOIN webhooks_webhook w ORDER BY e.id, w.id
"""


def calliyo() -> float:
    before = time.perf_counter()
    Lead.objects.filter(first_name="Bulk").update(source=f"source {next(_numbers)}")
    took = time.perf_counter() - before
    assert Delivery.objects.count() == LEADS * WEBHOOKS
    forget()
    return took


def bare() -> float:
    body = payload(1)
    before = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_UPDATE, [f"source {next(_numbers)}"])
        cursor.execute(_EVENTS, [body])
        cursor.execute(_DELIVERIES)
    took = time.perf_counter() - before
    assert Delivery.objects.count() == LEADS * WEBHOOKS
    forget()
    return took


def measure() -> dict[str, Any]:
    status = LeadStatus.objects.order_by("position")[0]
    Lead.objects.bulk_create(
        Lead(first_name="Bulk", phone=f"+9196{number:08d}", status=status) for number in range(LEADS)
    )
    key = create_api_key(name="Bench of bulk changes", scopes=list(Scope)).key
    for number in range(WEBHOOKS):
        subscribe(api_key=key, url=f"https://r{number}.example.com/", events=["lead.updated"])
    forget()
    rivals = {"calliyo": calliyo}
    if connection.vendor == "postgresql":
        rivals = {"bare": bare, **rivals}
    said = interleaved(rivals, rounds=ROUNDS)
    result: dict[str, Any] = {
        "leads": LEADS,
        "webhooks": WEBHOOKS,
        "seconds": {name: Figure.of(values).as_dict() for name, values in said.items()},
    }
    if "bare" in said:
        result["times_bare"] = ratios(said["calliyo"], said["bare"]).as_dict()
    return result
