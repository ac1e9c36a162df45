"""Processes that a benchmark starts, and what they use of the machine."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

from apikeys.redis_client import redis_of

WORKER = (
    *("celery", "--app", "calliyo.celery", "worker", "--concurrency", "1"),
    *("--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
)

_COUNT = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
until, number = time.perf_counter() + 1, 0
while time.perf_counter() < until:
    for _ in range(10_000):
        number += 1
print(number)
"""


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m arguments`, ended with the block."""
    popen = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        yield popen
    finally:
        popen.terminate()
        popen.wait(timeout=30)


@contextmanager
def workers(count: int = 1, *, name: str = "bench", **environment: str) -> Iterator[list[int]]:
    """So many worker processes of Calliyo's, as the Procfile starts them; their process ids."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(process(*WORKER, "--hostname", f"{name}{number}@%h", **environment)).pid
            for number in range(count)
        ]


def cpu_seconds(pid: int) -> float:
    """Processor time of the process and those that it started, ended ones that it has waited for included."""
    return sum(map(_own_cpu_seconds, family_of(pid)))


def _own_cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # ended just now: its parent has it
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def family_of(pid: int) -> Iterator[int]:
    """The process, those that it started, and theirs."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # has ended since it was listed
            for child in children.read_text().split():
                yield from family_of(int(child))


def cores_worth(cores: int) -> float:
    """How much so many processes that only count do, each on a core of its own, times one of them."""
    _counted_on(1)  # the machine is awake
    return _counted_on(cores) / _counted_on(1)


def _counted_on(cores: int) -> int:
    counting = [
        subprocess.Popen([sys.executable, "-c", _COUNT, str(core)], stdout=subprocess.PIPE)
        for core in sorted(os.sched_getaffinity(0))[:cores]
    ]
    return sum(int(each.communicate()[0]) for each in counting)


@contextmanager
def on_cores(cores: set[int], pids: Iterable[int]) -> Iterator[None]:
    """Keeps these processes, all that they started and what they start meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    families = [member for pid in pids for member in family_of(pid)]
    for member in families:
        _keep_on(cores, member)
    try:
        yield
    finally:
        for member in {member for pid in pids for member in family_of(pid)}.union(families):
            _keep_on(before, member)


def _keep_on(cores: set[int], pid: int) -> None:
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(ProcessLookupError):  # has ended since it was listed
            os.sched_setaffinity(int(thread.name), cores)


def redis_server() -> int | None:
    """Redis's process; None where the broker is in the processes."""
    redis = redis_of(settings.CACHES["default"])
    return None if redis is None else int(redis.info("server")["process_id"])


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def database_server() -> int:
    """The process of which PostgreSQL's others are children; this one where the database is in the processes."""
    if connection.vendor != "postgresql":
        return os.getpid()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return parent_of(cursor.fetchone()[0])


def memory_of(pid: int) -> float:
    """Megabytes that the process and those it forked hold in memory, shared pages counted in each."""
    return sum(map(_own_memory, family_of(pid)))


def _own_memory(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return float(fields["VmRSS"].split()[0]) / 1024
