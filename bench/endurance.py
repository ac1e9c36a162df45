"""What lies behind an engine and what it holds: deliveries a second over a long history, and memory over time."""

import os
from typing import Any

from django.db import connection

from bench.backlog import carried_out, new_webhooks, wait_for_receiver
from bench.processes import memory_of, process, workers
from bench.timing import Figure
from tests.servers import free_port
from webhooks.models import Webhook

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 3 if QUICK else 5
DELIVERIES = 3000 if QUICK else 6000
BEHIND = 100_000 if QUICK else 1_000_000  # the aim speaks of five million: a size that a benchmark can afford
STEP, STEPS = (2000, 5) if QUICK else (20_000, 5)

# All of it of the webhook that is measured: the worst place for it.
_EVENTS = """
    INSERT INTO webhooks_event (uid, type, lead_id, payload, actor_type, created_at, position)
    SELECT gen_random_uuid(), 'lead.updated', g %% 100000, repeat('x', 200), 'system', now() - interval '1 day',
        (SELECT COALESCE(max(position), 0) FROM webhooks_event) + g
    FROM generate_series(1, %(count)s) AS g
"""
_DELIVERIES = """
    INSERT INTO webhooks_delivery (webhook_id, event_id, type, lead_id, cause, sequence, state, attempts, created_at,
        first_attempt_at, finished_at, last_status, last_error)
    SELECT %(webhook)s, id, type, lead_id, 'event', position, 'delivered', 1, created_at, created_at, created_at, 200,
        ''
    FROM webhooks_event WHERE created_at < now() - interval '1 hour'
"""
_ATTEMPTS = """
    INSERT INTO webhooks_attempt (delivery_id, number, started_at, request_headers, status, response_headers,
        response_body, error_code, error, total_ms, probe)
    SELECT id, 1, created_at, '{}', 200, '{}', 'ok', '', '', 1.0, false
    FROM webhooks_delivery WHERE created_at < now() - interval '1 hour'
"""
_LAST = "UPDATE webhooks_endpointstate SET last_sequence = %(count)s * 2 WHERE webhook_id = %(webhook)s"


def fill(webhook: Webhook) -> None:
    with connection.cursor() as cursor:
        for statement in (_EVENTS, _DELIVERIES, _ATTEMPTS, _LAST):
            cursor.execute(statement, {"count": BEHIND, "webhook": webhook.pk})
        cursor.execute("VACUUM ANALYZE webhooks_event, webhooks_delivery, webhooks_attempt")
        cursor.execute("CHECKPOINT")  # writing the history to disk is no part of what is measured


def measure() -> dict[str, Any]:
    address = f"http://127.0.0.1:{free_port()}"
    with process("bench.fast_receiver", address.rpartition(":")[2]), workers() as [worker]:
        wait_for_receiver(address)
        [webhook] = webhooks = new_webhooks(address, "fast", 1)
        carried_out(webhooks, DELIVERIES)  # connections, plans
        empty = [carried_out(webhooks, DELIVERIES) for _ in range(ROUNDS)]
        memory = [memory_of(worker)]
        for _ in range(STEPS):
            carried_out(webhooks, STEP)
            memory.append(memory_of(worker))
        behind: list[float] = []
        if connection.vendor == "postgresql":
            fill(webhook)
            carried_out(webhooks, DELIVERIES)
            behind = [carried_out(webhooks, DELIVERIES) for _ in range(ROUNDS)]
    median = Figure.of(empty).median
    result: dict[str, Any] = {
        "empty_a_second": Figure.of(empty).as_dict(),
        "memory_mb": memory,
        "memory_step": STEP,
        "rows_behind": BEHIND if behind else 0,
    }
    if behind:
        result["behind_a_second"] = Figure.of(behind).as_dict()
        result["behind_times_empty"] = Figure.of([each / median for each in behind]).as_dict()
    return result
