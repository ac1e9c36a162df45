"""One database of `bench.history`, in a process of its own: carries out what it reads, one JSON list a line."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db import connection

from bench.backlog import new_webhooks, queue_held, seconds_to_settle
from bench.processes import cpu_seconds, database_server, workers
from bench.statements import begin_counting, counted
from webhooks.models import Webhook

CHUNK: Final = 500_000

# All of it of the webhook that is measured: the worst place for it.
_EVENTS = """
    INSERT INTO webhooks_event (uid, type, lead_id, payload, actor_type, created_at, position)
    SELECT gen_random_uuid(), 'lead.updated', g %% 100000, repeat('x', 200), 'system', now() - interval '1 day', g
    FROM generate_series(%(first)s, %(last)s) AS g
"""
_DELIVERIES = """
    INSERT INTO webhooks_delivery (webhook_id, event_id, type, lead_id, cause, sequence, state, attempts, created_at,
        first_attempt_at, finished_at, last_status, last_error)
    SELECT %(webhook)s, id, type, lead_id, 'event', position, 'delivered', 1, created_at, created_at, created_at, 200,
        ''
    FROM webhooks_event WHERE position BETWEEN %(first)s AND %(last)s
"""
_ATTEMPTS = """
    INSERT INTO webhooks_attempt (delivery_id, number, started_at, request_headers, status, response_headers,
        response_body, error_code, error, total_ms, probe)
    SELECT id, 1, created_at, '{}', 200, '{}', 'ok', '', '', 1.0, false
    FROM webhooks_delivery WHERE webhook_id = %(webhook)s AND sequence BETWEEN %(first)s AND %(last)s
"""
_LAST = "UPDATE webhooks_endpointstate SET last_sequence = %(last)s WHERE webhook_id = %(webhook)s"


def fill(webhook: Webhook, count: int) -> int:
    """So many delivered rows behind the webhook, as autovacuum would leave them; on disk, too."""
    with connection.cursor() as cursor:
        for first in range(1, count + 1, CHUNK):
            place = {"first": first, "last": min(count, first + CHUNK - 1), "webhook": webhook.pk}
            for statement in (_EVENTS, _DELIVERIES, _ATTEMPTS):
                cursor.execute(statement, place)
        cursor.execute(_LAST, {"last": count, "webhook": webhook.pk})
        cursor.execute("VACUUM ANALYZE webhooks_event, webhooks_delivery, webhooks_attempt")
        cursor.execute("CHECKPOINT")  # writing the history to disk is no part of what is measured
    return count


def carry_out(webhook: Webhook, count: int, pids: Mapping[str, int]) -> dict[str, Any]:
    """So many deliveries: how many a second, and what one of them costs, in microseconds and in PostgreSQL's counts."""
    queue_held([webhook], count)
    begin_counting()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    seconds = seconds_to_settle([webhook])
    used = {name: (cpu_seconds(pid) - before[name]) / count * 1e6 for name, pid in pids.items()}
    return {"a_second": count / seconds, "cpu": used, "statements": counted()}


def measure() -> dict[str, Any]:
    [webhook] = new_webhooks(os.environ["BENCH_RECEIVER"], "fast", 1)
    with workers(name=f"side{os.getpid()}-") as [worker]:
        pids = {"worker": worker, "database": database_server()}
        work: dict[str, Callable[[int], Any]] = {
            "fill": lambda count: fill(webhook, count),
            "carry_out": lambda count: carry_out(webhook, count, pids),
        }
        for line in sys.stdin:
            what, count = json.loads(line)
            print(json.dumps(work[what](count)), flush=True)
    return {}
