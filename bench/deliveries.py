"""Deliveries a second, from the row in the database to the recorded answer, beside what others do with the same bodies.

The rivals take turns: a bare loop over one `requests.Session`, a Celery task a delivery, and the engine in one worker
process with one endpoint and with a hundred, and in two processes.

What a second worker brings is limited by the machine: receiver, PostgreSQL and the workers share its cores, and a core
that one of them uses is none to the others. So "two workers, times one" is told beside two limits of the same run:
- two such loops in two processes, times one: what a second process brings here that has the receiver beside it and
  no database at all. The share of it is the figure that allows for the receiver.
- what the cores have room for: their number over the processor time that worker, PostgreSQL and receiver together use
  for one delivery, over one worker's rate. More than that no second worker could bring, however the work is shared.
"""

import multiprocessing
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import Any

import requests
from celery import Celery
from django.db import connection

from bench.backlog import (
    TYPE,
    forget,
    new_webhooks,
    payload,
    queue_held,
    seconds_to_settle,
    wait_for_receiver,
)
from bench.baseline.app import deliver
from bench.baseline.models import PlainDelivery, make_tables
from bench.processes import cpu_seconds, database_server, process, workers
from bench.timing import Figure, interleaved, ratios
from tests.servers import free_port
from webhooks.delivery.clock import ClockReading
from webhooks.delivery.target import Target
from webhooks.models import Ordering, Webhook
from webhooks.secrets import generate_secret

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 2 if QUICK else 5
ENGINE = 2000 if QUICK else 6000
STANDING = 6000 if QUICK else 20_000
"""What a second worker helps with is a backlog that stands for a while; a short one has gone while both begin."""
LOOP = 500 if QUICK else 1500
WARM_UP = 5.0
BASELINE = 150 if QUICK else 500
LOOP_ALONE = "requests.Session loop, nothing recorded"
TWO_LOOPS = "two Session loops in two processes"
ONE_WORKER = "engine, a hundred endpoints"
TWO_WORKERS = "engine, a hundred endpoints, two workers"
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
        clock=ClockReading(datetime.now(UTC)),
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


def two_session_loops(pool: ProcessPoolExecutor, address: str, secret: str) -> float:
    """The same loop in two processes at once, to the same receiver; both together."""
    before = time.perf_counter()
    list(pool.map(session_loop, [address] * 2, [secret] * 2))
    return 2 * LOOP / (time.perf_counter() - before)


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


class Costs:
    """Processor time of one delivery, in microseconds, by who used it: of each block under it."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before: dict[str, float] = {}
        self.microseconds: dict[str, list[float]] = {name: [] for name in pids}

    def __enter__(self) -> None:
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def __exit__(self, *_: object) -> None:
        for name, pid in self._pids.items():
            self.microseconds[name].append((cpu_seconds(pid) - self._before[name]) / STANDING * 1e6)


def engine(webhooks: list[Webhook], count: int, costs: Costs | None = None) -> float:
    queue_held(webhooks, count)
    with costs or nullcontext():
        seconds = seconds_to_settle(webhooks)
    forget()
    return count / seconds


def beside_another_worker(webhooks: list[Webhook]) -> float:
    with workers(1, name="another"):
        time.sleep(WARM_UP)
        return engine(webhooks, STANDING)


def measure() -> dict[str, Any]:
    address, secret = f"http://127.0.0.1:{free_port()}", generate_secret()
    make_tables()
    with ExitStack() as stack:
        connection.close()  # nothing to share with what is forked
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")))
        pool.submit(os.getpid).result()  # forks both
        receiver = stack.enter_context(process("bench.fast_receiver", address.rpartition(":")[2]))
        wait_for_receiver(address)
        one, hundred = new_webhooks(address, "fast", 1), new_webhooks(address, "fast", 100)
        stack.enter_context(process(*BASELINE_WORKER))
        [worker] = stack.enter_context(workers())
        costs = Costs(worker=worker, database=database_server(), receiver=receiver.pid)
        rivals: dict[str, Callable[[], float]] = {
            LOOP_ALONE: lambda: session_loop(address, secret),
            "a Celery task each, requests.post": lambda: task_each(address, secret, deliver.app),
            "engine, one endpoint": lambda: engine(one, ENGINE),
            ONE_WORKER: lambda: engine(hundred, STANDING, costs),
            TWO_WORKERS: lambda: beside_another_worker(hundred),
            TWO_LOOPS: lambda: two_session_loops(pool, address, secret),
            "bare socket, one request after another": lambda: receivers_limit(address),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    loop, plain = list(said.values())[:2]
    return {
        "rounds": ROUNDS,
        "deliveries_a_round": ENGINE,
        "deliveries_a_round_of_a_hundred_endpoints": STANDING,
        "rivals": {
            name: {
                "a_second": Figure.of(values).as_dict(),
                "times_loop": ratios(values, loop).as_dict(),
                "times_baseline": ratios(values, plain).as_dict(),
            }
            for name, values in said.items()
        },
        "two_workers": two_workers(said, costs.microseconds),
    }


def two_workers(
    said: Mapping[str, list[float]], microseconds: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, float]]:
    """What a second worker brings, beside what a second process can bring here."""
    times_one = [two / one for two, one in zip(said[TWO_WORKERS], said[ONE_WORKER], strict=True)]
    loops = [two / one for two, one in zip(said[TWO_LOOPS], said[LOOP_ALONE], strict=True)]
    cores = len(os.sched_getaffinity(0)) * 1e6
    used = [sum(parts) for parts in zip(*microseconds.values(), strict=True)][
        1:
    ]  # without the round that warms up
    room = [cores / each / rate for each, rate in zip(used, said[ONE_WORKER], strict=True)]
    return {
        "times one": Figure.of(times_one).as_dict(),
        "two loops, times one loop": Figure.of(loops).as_dict(),
        "share of what two loops bring": ratios(times_one, loops).as_dict(),
        "times one that the cores have room for": Figure.of(room).as_dict(),
        **{
            f"µs of processor time a delivery, {name}": Figure.of(list(values[1:])).as_dict()
            for name, values in microseconds.items()
        },
    }
