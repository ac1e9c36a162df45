"""Deliveries a second, from the row in the database to the recorded answer, beside what others do with the same bodies.

The rivals take turns: a bare loop over one `requests.Session`, a Celery task a delivery, and the engine in one worker
process with one endpoint and with a hundred.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import requests
from celery import Celery

from bench.backlog import TYPE, carried_out, forget, new_webhooks, payload, wait_for_receiver
from bench.baseline.app import deliver
from bench.baseline.models import PlainDelivery, make_tables
from bench.processes import process, workers
from bench.timing import Figure, interleaved, ratios
from tests.servers import free_port
from webhooks.delivery.target import Target
from webhooks.models import Ordering, Webhook
from webhooks.secrets import generate_secret

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 2 if QUICK else 5
ENGINE = 2000 if QUICK else 6000
LOOP = 500 if QUICK else 1500
WARM_UP = 5.0
BASELINE = 150 if QUICK else 500
BASELINE_WORKER = (
    *("celery", "--app", "bench.baseline.app", "worker", "--concurrency", "1", "--queues", "baseline"),
    *("--without-gossip", "--without-mingle", "--loglevel", "WARNING", "--hostname", "baseline@%h"),
)


def session_loop(address: str, secret: str) -> float:
    """The same bodies with the same two signatures, one after another; no database in it."""
    target = Target(
        webhook_id=1,
        api_key_id=1,
        url=f"{address}/fast/loop",
        secrets=(secret,),
        headers={},
        ordering=Ordering.NONE,
        scopes=frozenset(),
    )
    bodies = [payload(number).encode() for number in range(LOOP)]
    with requests.Session() as session:
        before = time.perf_counter()
        for number, body in enumerate(bodies):
            headers = target.request_headers(
                event_type=TYPE, message_id=f"evt_{number}", delivery=str(number), sequence=number, body=body
            )
            session.post(target.url, data=body, headers=headers, timeout=15).raise_for_status()
        return LOOP / (time.perf_counter() - before)


def task_each(address: str, secret: str, app: Celery) -> float:
    """One Celery task a delivery, in one worker process; from the first task queued to the last row recorded."""
    rows = PlainDelivery.objects.bulk_create(
        PlainDelivery(
            url=f"{address}/fast/baseline",
            secret=secret,
            event_type=TYPE,
            message_id=f"evt_{uuid.uuid4().hex}",
            payload=payload(number),
        )
        for number in range(BASELINE)
    )
    before = time.perf_counter()
    for row in rows:
        deliver.delay(row.pk)
    while PlainDelivery.objects.filter(status="waiting").exists():
        time.sleep(0.02)
    return BASELINE / (time.perf_counter() - before)


def receivers_limit(address: str) -> float:
    """Requests a second over one bare socket, with nothing around them: the receiver must not be the limit."""
    body = payload(1).encode()
    request = b"POST /fast/limit HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as sock:
        before = time.perf_counter()
        for _ in range(LOOP * 10):
            sock.sendall(request)
            sock.recv(65536)
        return LOOP * 10 / (time.perf_counter() - before)


def engine(webhooks: list[Webhook]) -> float:
    rate = carried_out(webhooks, ENGINE)
    forget()
    return rate


def beside_another_worker(webhooks: list[Webhook]) -> float:
    with workers(1, name="another"):
        time.sleep(WARM_UP)
        return engine(webhooks)


def measure() -> dict[str, Any]:
    address, secret = f"http://127.0.0.1:{free_port()}", generate_secret()
    make_tables()
    with ExitStack() as stack:
        stack.enter_context(process("bench.fast_receiver", address.rpartition(":")[2]))
        wait_for_receiver(address)
        one, hundred = new_webhooks(address, "fast", 1), new_webhooks(address, "fast", 100)
        stack.enter_context(process(*BASELINE_WORKER))
        stack.enter_context(workers())
        rivals: dict[str, Callable[[], float]] = {
            "requests.Session loop, nothing recorded": lambda: session_loop(address, secret),
            "a Celery task each, requests.post": lambda: task_each(address, secret, deliver.app),
            "engine, one endpoint": lambda: engine(one),
            "engine, a hundred endpoints": lambda: engine(hundred),
            "engine, a hundred endpoints, two workers": lambda: beside_another_worker(hundred),
            "bare socket, one request after another": lambda: receivers_limit(address),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    loop, plain = list(said.values())[:2]
    return {
        "rounds": ROUNDS,
        "deliveries_a_round": ENGINE,
        "rivals": {
            name: {
                "a_second": Figure.of(values).as_dict(),
                "times_loop": ratios(values, loop).as_dict(),
                "times_baseline": ratios(values, plain).as_dict(),
            }
            for name, values in said.items()
        },
    }
