"""How many things a key may have going on at once, in all web processes together.

A slot is leased for as long as its holder can need it, so that one of a process that was killed is free again then.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from django.conf import settings
from redis import Redis, RedisError

from apikeys.redis_client import redis_of

log = structlog.get_logger(__name__)

SLACK_SECONDS: Final = 5.0


class Slots:
    """Slots of this process; with Redis, of all processes. A Redis that is down leaves those of each process."""

    # Leases that have ended go first; by Redis's own clock.
    TAKE: Final = """
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
        if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
        redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[3]), ARGV[1])
        redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3])) + 1)
        return 1
    """

    def __init__(self, redis: "Redis | None", clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._script = redis.register_script(self.TAKE) if redis else None
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[str, dict[str, float]] = {}

    @contextmanager
    def held(self, name: str, *, most: int, seconds: float) -> Iterator[bool]:
        """Holds one of the `most` slots of this name for at most so many seconds; False when none is free."""
        lease = secrets.token_hex(8)
        until = seconds + SLACK_SECONDS
        if not self._take_here(name, lease, most, until):
            yield False
            return
        try:
            yield self._take_in_redis(name, lease, most, until)
        finally:
            self._free(name, lease)

    def clear(self) -> None:
        """Forgets what this process holds."""
        with self._lock:
            self._taken.clear()

    def _take_here(self, name: str, lease: str, most: int, seconds: float) -> bool:
        with self._lock:
            now = self._clock()
            taken = {one: end for one, end in self._taken.get(name, {}).items() if end > now}
            if len(taken) >= most:
                return False
            self._taken[name] = taken | {lease: now + seconds}
            return True

    def _take_in_redis(self, name: str, lease: str, most: int, seconds: float) -> bool:
        if self._script is None:
            return True
        try:
            return bool(self._script(keys=[_key(name)], args=[lease, most, seconds]))
        except RedisError as error:
            log.warning("slots.cache_down", error=str(error))
            return True

    def _free(self, name: str, lease: str) -> None:
        with self._lock:
            taken = self._taken.get(name, {})
            taken.pop(lease, None)
            if not taken:
                self._taken.pop(name, None)
        if self._redis is None:
            return
        try:
            self._redis.zrem(_key(name), lease)
        except RedisError as error:
            log.warning("slots.not_freed", error=str(error))  # its lease ends by itself


def _key(name: str) -> str:
    return f"calliyo:slots:{name}"


SLOTS: Final = Slots(redis_of(settings.CACHES["default"]))
