"""A hundred healthy endpoints, alone and beside a hundred that hang for the full timeout, on one worker process."""

import os
import statistics
import time
from typing import Any

from bench.backlog import forget, new_webhooks, queue, taken_arrivals, wait_for_receiver, wait_until_settled
from bench.processes import process, workers
from bench.timing import Figure, ratios
from calliyo.publisher import poke_webhooks
from tests.servers import free_port
from webhooks.models import Delivery, Webhook

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 1 if QUICK else 3
EVENTS = 24 if QUICK else 80  # in each phase; each goes to every endpoint of the phase
PACE = 0.25
TIMEOUT = 15.0  # a whole phase takes longer: what hangs is given up in it, and hangs with the next lead
ENDPOINTS = 100


def latencies(address: str, healthy: list[Webhook], hanging: list[Webhook]) -> list[float]:
    """Milliseconds from the commit to the arrival, of the healthy endpoints' deliveries."""
    taken_arrivals(address)
    everybody = [*healthy, *hanging]
    own = {webhook.pk for webhook in healthy}
    committed: dict[int, float] = {}
    for number in range(EVENTS):
        began = time.monotonic()
        ids = queue(everybody, len(everybody), first_lead=1 + number)
        at = time.time()
        poke_webhooks([webhook.pk for webhook in everybody])
        committed.update(
            (delivery, at) for delivery, webhook in zip(ids, everybody, strict=True) if webhook.pk in own
        )
        time.sleep(max(0.0, PACE - (time.monotonic() - began)))
    wait_until_settled(healthy)
    came = taken_arrivals(address)
    return [(came[delivery] - at) * 1000 for delivery, at in committed.items()]


def measure() -> dict[str, Any]:
    address = f"http://127.0.0.1:{free_port()}"
    said: dict[str, list[list[float]]] = {"alone": [], "beside": []}
    with process("bench.fast_receiver", address.rpartition(":")[2]), workers():
        wait_for_receiver(address)
        healthy = new_webhooks(address, "timed", ENDPOINTS)
        hanging = new_webhooks(address, "hang", ENDPOINTS)
        latencies(address, healthy, [])  # the worker is up, its connections are warm
        for turn in range(ROUNDS):
            said["alone"].append(latencies(address, healthy, []))
            said["beside"].append(latencies(address, healthy, hanging))
            Delivery.objects.filter(webhook__in=hanging).delete()
            if turn < ROUNDS - 1:
                time.sleep(TIMEOUT + 1)  # what hangs now does not hang into the next round
        forget()
    cuts = {name: [statistics.quantiles(values, n=100) for values in rounds] for name, rounds in said.items()}
    result: dict[str, Any] = {
        name: {
            f"p{percent}": Figure.of([each[percent - 1] for each in rounds]).as_dict()
            for percent in (50, 95, 99)
        }
        for name, rounds in cuts.items()
    }
    p95 = {name: [each[94] for each in rounds] for name, rounds in cuts.items()}
    return {
        "rounds": ROUNDS,
        "events_a_phase": EVENTS,
        "ms": result,
        "p95_times_alone": ratios(p95["beside"], p95["alone"]).as_dict(),
    }
