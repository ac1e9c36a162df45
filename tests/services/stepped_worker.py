"""Celery's app in a worker whose own clock is stepped: `celery --app tests.services.stepped_worker worker`.

Each of its processes reads, twenty times a second, by how many seconds its clock is to be off, from the file that
`CALLIYO_TESTS_CLOCK` names; it says so once it is.
"""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine
from celery.signals import worker_init, worker_process_init

from calliyo.celery import app

__all__ = ["app"]

FILE = Path(os.environ["CALLIYO_TESTS_CLOCK"])


def _right_now() -> datetime:
    # A child begins with the clock of its parent, which may be stepped.
    right = time_machine.escape_hatch
    return right.datetime.datetime.now(UTC) if right.is_travelling() else datetime.now(UTC)


def _follow() -> None:
    clock, steps = None, 0.0
    while True:
        written = FILE.read_text()
        seconds = float(written) if written else steps  # empty: it is being written
        if seconds != steps:
            if clock is None:
                clock = time_machine.travel(_right_now(), tick=True).start()
            clock.shift(timedelta(seconds=seconds - steps))
            steps = seconds
            print(f"{os.getpid()}: the clock is off by {steps} s", flush=True)
        time.sleep(0.05)


@worker_init.connect
@worker_process_init.connect
def _begin(**_: object) -> None:
    threading.Thread(target=_follow, name="stepped-clock", daemon=True).start()
