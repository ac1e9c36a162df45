"""Celery's app in a worker whose own clock is stepped: `celery --app tests.services.stepped_worker worker`.

Each of its processes reads, twenty times a second, by how many seconds its clock is to be off, from the file that
`CALLIYO_TESTS_CLOCK` names.
"""

import os
import threading
import time
from datetime import UTC, timedelta
from pathlib import Path

import time_machine
from celery.signals import worker_init, worker_process_init

from calliyo.celery import app

__all__ = ["app"]

# A child begins with the clock of its parent, which may be stepped.
RIGHT_NOW = time_machine.escape_hatch.datetime.datetime.now
FILE = Path(os.environ["CALLIYO_TESTS_CLOCK"])


def _follow() -> None:
    clock, steps = None, 0.0
    while True:
        seconds = float(FILE.read_text() or 0)
        if seconds != steps:
            if clock is None:
                clock = time_machine.travel(RIGHT_NOW(UTC), tick=True).start()
            clock.shift(timedelta(seconds=seconds - steps))
            steps = seconds
        time.sleep(0.05)


@worker_init.connect
@worker_process_init.connect
def _begin(**_: object) -> None:
    threading.Thread(target=_follow, name="stepped-clock", daemon=True).start()
