"""Wake-ups on their way into the engine: from tasks, from finished runs, and those that come again a little later."""

import threading
import time
from collections.abc import Iterable

FIRST_AGAIN = 0.02
LONGEST_AGAIN = 0.5


class Pokes:
    """Webhook ids to look at; put in by any thread, taken out by the engine's own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ids: set[int] = set()
        self._woken = False
        self._again: dict[int, tuple[float, float]] = {}
        self._alarms: dict[int, float] = {}

    def put(self, ids: Iterable[int]) -> None:
        """Has the engine look at these now."""
        with self._changed:
            self._ids.update(ids)
            self._changed.notify()

    def wake(self) -> None:
        """Has the engine go round once."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def put_later(self, ids: Iterable[int]) -> None:
        """Another worker serves these: look again soon, at doubling waits, in case it has just looked for itself."""
        now = time.monotonic()
        with self._changed:
            for webhook_id in ids:
                _, wait = self._again.get(webhook_id, (0.0, FIRST_AGAIN / 2))
                wait = min(wait * 2, LONGEST_AGAIN)
                self._again[webhook_id] = (now + wait, wait)

    def put_after(self, webhook_id: int, seconds: float) -> None:
        """Has the engine look at it then: a retry is not kept waiting for the sweep."""
        at = time.monotonic() + max(0.0, seconds)
        with self._changed:
            self._alarms[webhook_id] = min(at, self._alarms.get(webhook_id, at))

    def settle(self, ids: Iterable[int]) -> None:
        """These need no second look."""
        with self._changed:
            for webhook_id in ids:
                self._again.pop(webhook_id, None)

    def wait(self, seconds: float) -> None:
        """Returns when there is something to take, or after `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._ids and not self._woken:
                until = min([deadline, *(at for at, _ in self._again.values()), *self._alarms.values()])
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._woken = False

    def take(self) -> set[int]:
        """The ids to look at now."""
        now = time.monotonic()
        with self._changed:
            ids, self._ids = self._ids, set()
            rung = {webhook_id for webhook_id, at in self._alarms.items() if at <= now}
            for webhook_id in rung:
                del self._alarms[webhook_id]
            # With those whose second half has begun: a look at many costs as little as one at a few.
            again = {webhook_id for webhook_id, (at, wait) in self._again.items() if at - wait / 2 <= now}
            return ids | rung | again
