"""Turns at sending: one thread sends at a time, however many there are.

Python runs one thread at a time: a hundred that all have an answer to read keep each other waiting, and the engine's
own thread with them. Who waits for his receiver holds no turn, so nobody waits behind an endpoint that is slow.
"""

import threading
from collections import deque
from collections.abc import Callable

PATIENCE = 0.001
"""Seconds that the next part of an answer may take within a turn: a fast receiver's comes in a tenth of that."""
PATIENCE_IN_ALL = 5 * PATIENCE
"""Seconds that a whole answer may: who sends it byte by byte, each soon, keeps the others waiting too."""


class Turns:
    """One process's turns; who has waited longest gets the next one, which no lock of Python's grants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self) -> None:
        """Waits for a turn."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            granted = threading.Lock()
            granted.acquire()
            self._waiting.append(granted)
        granted.acquire()

    def give(self) -> None:
        """Hands the turn on."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class Turn:
    """One thread's turn; for that thread alone. Without `turns` it is never held, and nobody waits for it."""

    __slots__ = ("_turns", "before_waiting", "held", "patient")

    def __init__(self, turns: Turns | None = None) -> None:
        self._turns = turns
        self.held = False
        self.patient = True
        """Whether an answer is waited for within the turn, for `PATIENCE`: cheaper than to queue again."""
        self.before_waiting: Callable[[], None] | None = None
        """Called once when the turn is given up, while it is held still."""

    def take(self) -> None:
        """Waits for the turn; at once where it is held already."""
        if not self.held and self._turns is not None:
            self._turns.take()
            self.held = True

    def give_up(self) -> None:
        """Lets another thread go on: this one waits for somebody else, or has had its share."""
        if self.held and self._turns is not None:
            if self.before_waiting is not None:
                before_waiting, self.before_waiting = self.before_waiting, None
                before_waiting()
            self.held = False
            self._turns.give()
