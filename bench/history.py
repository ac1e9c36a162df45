"""What a delivery costs over a long history, beside an empty database.

Two databases of one PostgreSQL, a worker process at each, take turns: what else the machine does slows them alike.
Deliveries a second swing with the disk and with what else the machine does, so there are many short rounds, and the
interval that the median of their ratios lies in. What does not swing is told beside it: processor time, and the pages
and bytes that PostgreSQL itself counts, statement by statement.
"""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import mean
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from bench.backlog import wait_for_receiver
from bench.processes import process
from bench.statements import NAMES
from bench.timing import Figure, interleaved, with_interval
from tests.servers import free_port

QUICK = "BENCH_QUICK" in os.environ
ROUNDS = 6 if QUICK else 40
DELIVERIES = 3000
ALL = "all statements"
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
        rounds: dict[str, list[dict[str, Any]]] = {"empty": [], "behind": []}

        def carry_out(name: str, one: Side) -> float:
            rounds[name].append(one.ask("carry_out", DELIVERIES))
            return float(rounds[name][-1]["a_second"])

        said = interleaved(
            {"empty": lambda: carry_out("empty", empty), "behind": lambda: carry_out("behind", long)},
            rounds=ROUNDS,
        )
    rounds = {name: each[1:] for name, each in rounds.items()}  # the first one warmed up
    cpu = {name: [sum(one["cpu"].values()) for one in each] for name, each in rounds.items()}
    return {
        "rounds": ROUNDS,
        "deliveries_a_round": DELIVERIES,
        "rows_behind": BEHIND,
        "empty_a_second": Figure.of(said["empty"]).as_dict(),
        "behind_a_second": Figure.of(said["behind"]).as_dict(),
        "behind_times_empty": with_interval(said["behind"], said["empty"]),
        "cpu_behind_times_empty": with_interval(cpu["behind"], cpu["empty"]),
        "cpu_microseconds": {
            who: {name: mean(one["cpu"][who] for one in each) for name, each in rounds.items()}
            for who in rounds["empty"][0]["cpu"]
        },
        **_by_statement(rounds),
    }


def _by_statement(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What PostgreSQL counts for one delivery on either side: of all statements, and of each, the dearest first."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: {name: Counter() for name in rounds})
    for name, each in rounds.items():
        for one in each:
            for statement, counted in one["statements"].items():
                counts[statement][name].update(counted)
                counts[ALL][name].update(counted)
    deliveries = DELIVERIES * ROUNDS
    dearest = sorted(counts.items(), key=lambda item: -item[1]["behind"]["microseconds"])
    return {
        "postgresql": {
            statement: {name: {count: by[name][count] / deliveries for count in NAMES} for name in rounds}
            for statement, by in dearest
        }
    }
