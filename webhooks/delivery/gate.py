"""Before each request to one endpoint: may it begin, and when. Shared by the threads that send to it.

What the database knows of an endpoint's health comes after an answer is recorded; the gate stops what is under way as
soon as the answer is there.
"""

import math
import threading
import time

from webhooks.delivery.health import RULES, Answer

MINUTE = 60.0


class RateLimit:
    """Attempts begin at least so far apart that no minute has more of them than it allows."""

    def __init__(self, per_minute: int, wait: float) -> None:
        """`wait`: seconds until the first may begin, as far as the one who served before has used the limit."""
        self.gap = MINUTE / per_minute
        self._next_at = time.monotonic() + wait

    def until_next(self) -> float:
        """Seconds until the next may begin; 0 for now."""
        return max(0.0, self._next_at - time.monotonic())

    def room(self, seconds: float) -> int:
        """How many may begin within so many seconds from now."""
        left = seconds - self.until_next()
        return max(0, math.ceil(left / self.gap))

    def take(self, before: float) -> float | None:
        """When, on the monotonic clock, one may begin, which is then used up; None if not before that time."""
        at = max(self._next_at, time.monotonic())
        if at >= before:
            return None
        self._next_at = at + self.gap
        return at

    def used_up(self, count: int) -> float:
        """Seconds until the next may begin once so many more have begun as soon as they may."""
        return self.until_next() + count * self.gap


class Gate:
    """One endpoint's gate, for as long as its lease is ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._open = True
        self.rate_limit: RateLimit | None = None

    @property
    def takes_more(self) -> bool:
        """Whether more may be made ready behind what is under way; under a rate limit, one batch is at a time."""
        return self._open and self.rate_limit is None

    def reopen(self, *, failures: int) -> None:
        """Once all answers are recorded; `failures`: how many there were in a row."""
        with self._lock:
            self._open = True
            self._failures = failures

    def follow(self, per_minute: int | None, wait: float) -> None:
        """Keeps to this rate limit from now on; `wait` counts only where there was no limit before."""
        with self._lock:
            if per_minute is None:
                self.rate_limit = None
            elif self.rate_limit is None:
                self.rate_limit = RateLimit(per_minute, wait)
            else:
                self.rate_limit.gap = MINUTE / per_minute

    def room(self, seconds: float, most: int) -> int:
        """How many requests may begin within so many seconds, at most `most`."""
        with self._lock:
            return most if self.rate_limit is None else min(most, self.rate_limit.room(seconds))

    def until_next(self) -> float:
        """Seconds until the next request may begin."""
        with self._lock:
            return 0.0 if self.rate_limit is None else self.rate_limit.until_next()

    def used_up(self, count: int) -> float | None:
        """Seconds until the next one may begin once so many more have begun; None without a rate limit."""
        with self._lock:
            return None if self.rate_limit is None else self.rate_limit.used_up(count)

    def pass_one(self, before: float) -> bool:
        """Waits for the turn of one request; False when none may begin before that time (monotonic), or at all."""
        with self._lock:
            if not self._open or time.monotonic() >= before:
                return False
            at = self.rate_limit.take(before) if self.rate_limit is not None else 0.0
        if at is None:
            return False
        wait = at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        return self._open

    def learn(self, answer: Answer) -> None:
        """Shuts after an answer that asks for a pause, and when nothing succeeds any more."""
        with self._lock:
            self._failures = 0 if answer.succeeded else self._failures + 1
            if answer.asks_for_pause or self._failures >= RULES.failures_until_down:
                self._open = False
