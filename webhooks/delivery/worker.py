"""The engine's life in a Celery worker: one in each process that carries out tasks, whatever the pool.

`prefork`: in each child, after the fork. `solo` and `threads`: in the worker itself.
"""

import logging
import threading
from typing import Any

from celery.concurrency.prefork import TaskPool as PreforkPool
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready, worker_shutdown
from django.conf import settings

from calliyo.garbage import pass_over_what_is_loaded
from webhooks.delivery.configured import configured_sender
from webhooks.delivery.engine import Engine

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""So long a worker that ends waits for requests under way; what comes later is sent again by another."""

_lock = threading.Lock()
_engine: Engine | None = None


def poke(webhook_ids: list[int]) -> None:
    """Hands the ids to this process's engine; where there is none (it is ending), a sweep finds what waits."""
    engine = _engine
    if engine is not None:
        engine.poke(webhook_ids)


def start_engine() -> None:
    """Starts this process's engine, once."""
    global _engine  # noqa: PLW0603 (one engine a process is the point)
    with _lock:
        if _engine is None:
            _engine = Engine(sender=configured_sender(), schedule=settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE)
            _engine.start()


def stop_engine() -> None:
    """Stops it in order: what is under way is recorded, leases are given back."""
    global _engine
    with _lock:
        engine, _engine = _engine, None
    if engine is not None:
        engine.stop(PATIENCE)


@worker_process_init.connect
def _in_child_or_solo(**_: Any) -> None:
    pass_over_what_is_loaded()
    start_engine()


@worker_ready.connect
def _in_worker(sender: Any, **_: Any) -> None:
    if not isinstance(sender.pool, PreforkPool):
        start_engine()


@worker_process_shutdown.connect
def _child_ends(**_: Any) -> None:
    stop_engine()


@worker_shutdown.connect
def _worker_ends(**_: Any) -> None:
    stop_engine()
