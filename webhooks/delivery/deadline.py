"""The time that one attempt has, counted down over all its steps."""

import time


class DeadlinePassed(Exception):
    """The attempt's time is over. Not an `OSError`: urllib3 would wrap that, or try again."""


class Deadline:
    """A point in time on this process's monotonic clock."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, always more than 0; raises `DeadlinePassed` when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left
