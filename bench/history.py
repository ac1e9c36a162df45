"""Deliveries a second over a long history, beside an empty database.

Two databases of one PostgreSQL, a worker process at each, take turns: what else the machine does slows them alike.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from bench.backlog import wait_for_receiver
from bench.processes import process
from bench.timing import Figure, interleaved, ratios
from tests.servers import free_port

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 3 if QUICK else 10
DELIVERIES = 3000 if QUICK else 6000
BEHIND = 100_000 if QUICK else 5_000_000


class Side:
    """One database with its worker, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *request: object) -> Any:
        """What came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextmanager
def side(number: int, address: str) -> Iterator[Side]:
    """A side on a fresh database, with a broker and a data folder of its own."""
    command = [sys.executable, "-m", "bench.measure", "history_side", os.devnull]
    environment = {**os.environ, **_own_places(number), "BENCH_RECEIVER": address}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Side(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it ends its worker, and itself


def _own_places(number: int) -> Mapping[str, str]:
    database = urlsplit(os.environ["DATABASE_URL"])
    broker = urlsplit(os.environ["CELERY_BROKER_URL"])
    return {
        "DATABASE_URL": urlunsplit(database._replace(path=f"/side{number}")),
        "CELERY_BROKER_URL": urlunsplit(broker._replace(path=f"/{number}")),
        # Both collect the static files at their start: in one folder, one takes the other's away.
        "CALLIYO_DATA_DIR": f"{os.environ['CALLIYO_DATA_DIR']}/side{number}",
    }


def measure() -> dict[str, Any]:
    if connection.vendor != "postgresql":
        return {}
    address = f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        stack.enter_context(process("bench.fast_receiver", address.rpartition(":")[2]))
        wait_for_receiver(address)
        sides = []
        for number in (2, 3):
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE side{number}")
            sides.append(stack.enter_context(side(number, address)))
        empty, long = sides
        long.ask("fill", BEHIND)
        said = interleaved(
            {
                "empty": lambda: float(empty.ask("carry_out", DELIVERIES)),
                "behind": lambda: float(long.ask("carry_out", DELIVERIES)),
            },
            rounds=ROUNDS,
        )
    return {
        "rounds": ROUNDS,
        "rows_behind": BEHIND,
        "empty_a_second": Figure.of(said["empty"]).as_dict(),
        "behind_a_second": Figure.of(said["behind"]).as_dict(),
        "behind_times_empty": ratios(said["behind"], said["empty"]).as_dict(),
    }
