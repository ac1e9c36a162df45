"""Waiting for events without a database connection: one thread of the process looks for all that wait.

It lives while somebody waits, and for a little while after.
"""

import threading
import time
from collections.abc import Collection
from typing import Final

import structlog
from django.conf import settings
from django.db import Error, connection
from django.db.models import Max

from apikeys.slots import SLOTS
from webhooks.delivery.sequence import give_positions
from webhooks.models import Event

log = structlog.get_logger(__name__)

EVERY: Final = 0.2  # seconds between two looks
AFTER_AN_ERROR: Final = 1.0
LINGER: Final = 5.0  # seconds that the thread goes on for nobody: who was answered comes back at once
PER_KEY: Final = 2  # in all processes together


class Watcher:
    """Knows how far the log goes for each type of event, and wakes those who wait for one of them."""

    def __init__(self, *, per_process: int) -> None:
        self._per_process = per_process
        self._changed = threading.Condition()
        self._waiting = 0
        self._last_wait = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False
        # Since `_complete_from`, the highest position of each type; looked through up to `_seen`.
        self._complete_from = 0
        self._seen = 0
        self._highest: dict[str, int] = {}

    def wait(self, *, key_id: int, types: Collection[str], after: int, seconds: float) -> bool:
        """Waits until there may be an event of these types behind `after`, which is where the caller has read to.

        False when the time is over, and at once when too many wait already or the process ends.
        """
        with SLOTS.held(f"wait:{key_id}", most=PER_KEY, seconds=seconds) as free:
            return free and self._wait(types, after, seconds)

    def _wait(self, types: Collection[str], after: int, seconds: float) -> bool:
        with self._changed:
            if self._closed or self._waiting >= self._per_process:
                return False
            self._waiting += 1
            self._see_to_the_thread(after)
            try:
                self._changed.wait_for(lambda: self._is_over() or self._may_be(types, after), timeout=seconds)
                return not self._is_over() and self._may_be(types, after)
            finally:
                self._waiting -= 1
                self._last_wait = time.monotonic()

    def close(self) -> None:
        """Answers all who wait, and lets nobody wait any more: the process is about to end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Returns when its thread has ended, after `close`."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _is_over(self) -> bool:
        return self._closed

    def _may_be(self, types: Collection[str], after: int) -> bool:
        # Who has read less far than this thread looked back has to read again.
        return after < self._complete_from or any(self._highest.get(name, 0) > after for name in types)

    def _see_to_the_thread(self, after: int) -> None:
        if self._thread is None:
            self._complete_from = self._seen = after
            self._highest = {}
            self._thread = threading.Thread(target=self._watch, name="calliyo-feed", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        try:
            while self._is_wanted():
                self._sleep(EVERY if self._looked() else AFTER_AN_ERROR)
        finally:
            connection.close()
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None  # it broke off; the next who waits starts another

    def _is_wanted(self) -> bool:
        with self._changed:
            wanted = self._waiting > 0 or time.monotonic() < self._last_wait + LINGER
            if self._closed or not wanted:
                self._thread = None
                return False
            return True

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(self._is_over, timeout=seconds)

    def _looked(self) -> bool:
        try:
            give_positions()
            fresh = Event.objects.filter(position__gt=self._seen).order_by().values_list("type")
            highest = dict(fresh.annotate(highest=Max("position")))
        except Error as error:
            # Who waits is answered when his time is over; the next look has a new connection.
            log.warning("feed.not_watched", error=str(error))
            connection.close()
            return False
        if highest:
            with self._changed:
                self._highest |= highest
                self._seen = max(highest.values())
                self._changed.notify_all()
        return True


WATCHER: Final = Watcher(per_process=settings.WEB_THREADS // 2)
