"""Wake-ups for the delivery engine, sent by a thread of its own: who saves never talks to the broker.

A wake-up may be lost (broker down, process killed): the engine's sweep finds what waits in the database.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from calliyo import broker_link

logger = logging.getLogger(__name__)

TASK = "webhooks.poke"
ORDERS = "webhooks.resend"
LEAST_GAP = 0.02  # seconds between two messages; the first of a burst goes at once, the rest are joined
IN_ONE_MESSAGE = 8
"""So many ids go in one message at most: a worker takes a message whole, and many webhooks are work for all workers."""
PAUSE_AFTER_FAILURE = 1.0
BETWEEN_COMPLAINTS = 60.0
FLUSH_AT_EXIT = 0.2


class Publisher:
    """Joins ids in a set, so that its memory is bounded by the number of webhooks, and hands them to `send`.

    The thread starts with the first ids. It is a daemon: a broker that hangs holds no process back.
    """

    def __init__(self, send: Callable[[Sequence[int]], None]) -> None:
        self._send = send
        self._waiting: set[int] = set()
        self._busy = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._last_complaint = -BETWEEN_COMPLAINTS

    def poke(self, ids: Iterable[int]) -> None:
        """Takes the ids and returns at once."""
        with self._changed:
            self._waiting.update(ids)
            if not self._waiting:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until all is sent, at most so long; false when something is still on its way."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout=seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                ids, self._waiting = sorted(self._waiting), set()
                self._busy = True
            pause = LEAST_GAP
            try:
                for start in range(0, len(ids), IN_ONE_MESSAGE):
                    self._send(ids[start : start + IN_ONE_MESSAGE])
            except Exception as error:  # noqa: BLE001 (whatever a driver raises: this thread outlives it)
                self._complain(error)
                pause = PAUSE_AFTER_FAILURE
            with self._changed:
                self._busy = False
                self._changed.notify_all()
            time.sleep(pause)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._last_complaint >= BETWEEN_COMPLAINTS:
            self._last_complaint = now
            logger.warning("The broker takes no wake-ups; deliveries wait for the sweep. %r", error)


class Sender:
    """Sends to Celery's broker, or the one at `url`, over one kept connection; a failure opens another."""

    def __init__(self, url: str | None = None, *, task: str = TASK) -> None:
        self._url = url
        self._task = task
        self._link: broker_link.Link | None = None

    def __call__(self, ids: Sequence[int]) -> None:
        if self._link is None:
            self._link = broker_link.Link(self._url)
        try:
            self._link.send(self._task, [list(ids)])
        except BaseException:
            link, self._link = self._link, None
            link.close()
            raise


_publisher = Publisher(Sender())
_order_publisher = Publisher(Sender(task=ORDERS))


def poke_webhooks(ids: Iterable[int]) -> None:
    """Hands the webhooks' ids to this process's publisher thread: microseconds, whatever the broker does."""
    _publisher.poke(ids)


def poke_orders(ids: Iterable[int]) -> None:
    """As `poke_webhooks`, for what somebody has ordered to be sent again."""
    _order_publisher.poke(ids)


def _start_anew_in_child() -> None:
    # A forked child has no thread, perhaps a locked lock, and would share its parent's socket.
    global _publisher, _order_publisher  # noqa: PLW0603 (one publisher a process is the point)
    _publisher = Publisher(Sender())
    _order_publisher = Publisher(Sender(task=ORDERS))


def _flush_at_exit() -> None:
    _publisher.flush(FLUSH_AT_EXIT)
    _order_publisher.flush(FLUSH_AT_EXIT)


os.register_at_fork(after_in_child=_start_anew_in_child)
atexit.register(_flush_at_exit)
