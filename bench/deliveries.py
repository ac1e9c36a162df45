"""Deliveries a second, from the row in the database to the recorded answer, beside what others do with the same bodies.

The rivals take turns: a bare loop over one `requests.Session`, a Celery task a delivery, and the engine in one worker
process with one endpoint and with a hundred, and in two processes.

What a second worker brings is limited by the machine: receiver, PostgreSQL and the workers share its cores, and one
worker with PostgreSQL and the receiver beside it has most of two. So there are two ways to ask:
- Two workers with two cores, times one worker with one, each time with receiver, PostgreSQL and Redis on the same: what
  a worker more brings where a core comes with it. This is the figure that allows for the receiver. Its limit is what
  two cores bring to two processes that only count: two, where no core shares anything with another.
- Two workers with two cores, times one that has both: beside it, what the cores have room for, which is their number
  over the processor time that worker, PostgreSQL and receiver together use for one delivery, over one worker's rate.
  More than that no second worker could bring, however the work is shared.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import Any

import requests
from celery import Celery

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
from bench.processes import (
    cores_worth,
    cpu_seconds,
    database_server,
    on_cores,
    process,
    redis_server,
    workers,
)
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
ON_ONE_CORE = "engine, a hundred endpoints, on one core"
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


def beside_another_worker(webhooks: list[Webhook], everybody: set[int]) -> float:
    with workers(1, name="another") as others:
        time.sleep(WARM_UP)
        engine(webhooks, ENGINE)  # it has its connections and its statements then, as the first one has
        return on_so_many_cores(2, webhooks, everybody.union(others))


def on_so_many_cores(count: int, webhooks: list[Webhook], everybody: set[int]) -> float:
    with on_cores(set(sorted(os.sched_getaffinity(0))[:count]), everybody):
        return engine(webhooks, STANDING)


def measure() -> dict[str, Any]:
    address, secret = f"http://127.0.0.1:{free_port()}", generate_secret()
    make_tables()
    with ExitStack() as stack:
        receiver = stack.enter_context(process("bench.fast_receiver", address.rpartition(":")[2]))
        wait_for_receiver(address)
        one, hundred = new_webhooks(address, "fast", 1), new_webhooks(address, "fast", 100)
        stack.enter_context(process(*BASELINE_WORKER))
        [worker] = stack.enter_context(workers())
        costs = Costs(worker=worker, database=database_server(), receiver=receiver.pid)
        everybody = {os.getpid(), worker, database_server(), redis_server() or worker, receiver.pid}
        rivals: dict[str, Callable[[], float]] = {
            LOOP_ALONE: lambda: session_loop(address, secret),
            "a Celery task each, requests.post": lambda: task_each(address, secret, deliver.app),
            "engine, one endpoint": lambda: engine(one, ENGINE),
            ONE_WORKER: lambda: engine(hundred, STANDING, costs),
            TWO_WORKERS: lambda: beside_another_worker(hundred, everybody),
            ON_ONE_CORE: lambda: on_so_many_cores(1, hundred, everybody),
            "bare socket, one request after another": lambda: receivers_limit(address),
        }
        said = interleaved(rivals, rounds=ROUNDS)
    cores = [cores_worth(2) for _ in range(ROUNDS)]
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
        "two_workers": two_workers(said, costs.microseconds, cores),
    }


def two_workers(
    said: Mapping[str, list[float]], microseconds: Mapping[str, Sequence[float]], counting: list[float]
) -> dict[str, dict[str, float]]:
    """What a second worker brings, with a core of its own and without; `counting`: what it brings to a bare loop."""
    cores = len(os.sched_getaffinity(0)) * 1e6
    # Without the round that warms up.
    used = [sum(parts) for parts in zip(*microseconds.values(), strict=True)][1:]
    with_a_core = ratios(said[TWO_WORKERS], said[ON_ONE_CORE])
    room = [cores / each / rate for each, rate in zip(used, said[ONE_WORKER], strict=True)]
    return {
        "with two cores, times one with one": with_a_core.as_dict(),
        "the same of two processes that only count": Figure.of(counting).as_dict(),
        "the first over the second": Figure.of([with_a_core.median / each for each in counting]).as_dict(),
        "with two cores, times one that has both": ratios(said[TWO_WORKERS], said[ONE_WORKER]).as_dict(),
        "times one that the cores have room for": Figure.of(room).as_dict(),
        **{
            f"µs of processor time a delivery, {name}": Figure.of(list(values[1:])).as_dict()
            for name, values in microseconds.items()
        },
    }
