"""Rest: while there is enough to send, the deciding thread leaves Python to those that send it.

Python runs one thread at a time, and a turn for a few outcomes costs nearly what one for hundreds does: of two workers
that share a backlog, each would have spent half of its time on deciding.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from webhooks.delivery.served import Served

TIMES = 3.0
"""So many times a turn's own processor time."""
LONGEST = 0.1
"""Seconds; so late, at most, is recorded what has come back: who takes over from a killed worker sends that again."""
WORTH = 0.02
"""Seconds; less is the engine's ordinary wait between two turns."""


class Rest:
    """How long to rest after a turn. For the engine's deciding thread."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._seconds = 0.0

    @contextmanager
    def after(self) -> Iterator[None]:
        """Around a turn."""
        before = self._clock()
        yield
        self._seconds = min(LONGEST, TIMES * (self._clock() - before))

    def seconds(self, served: Collection[Served]) -> float:
        """How long from now; 0 where senders would run out of work, or another worker waits for a lease."""
        if self._seconds <= WORTH or any(each.asked_for for each in served):
            return 0.0
        return self._seconds if in_hand(served) > 2 * self._seconds else 0.0


def in_hand(served: Collection[Served]) -> float:
    """Seconds for which a backlog keeps senders at work: fast endpoints are sent to by one thread at a time."""
    return sum(each.in_hand() for each in served)
