"""How often a key may ask: a token bucket, refilled evenly, in Redis where there is one, else in the process.

600 requests a minute with bursts of 100 unless the key says otherwise. A Redis that is down lets requests
through.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from threading import Lock
from typing import Any, Final, Protocol

import structlog
from django.conf import settings
from redis import Redis, RedisError
from redis.exceptions import NoScriptError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apikeys.callers import caller_of
from apikeys.models import APIKey
from apikeys.redis_client import redis_of
from calliyo.api.addresses import client_address

log = structlog.get_logger(__name__)

DEFAULT_RATE: Final = 600
BURST: Final = 100
WINDOW_SECONDS: Final = 60
# Of a key whose token stands in a web page, for each visitor: a form is sent a few times, an office shares an address.
ADDRESS_RATE: Final = 30
MANY: Final = 10_000  # buckets that are kept without a look through them
# After a failure, how long nobody waits for Redis again: an outage costs one request its timeout, not all.
REST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`rate` requests a minute, and how many may come at once."""

    rate: int

    @property
    def burst(self) -> int:
        return min(BURST, self.rate)

    @property
    def per_second(self) -> float:
        return self.rate / WINDOW_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What a bucket holds after a request, and whether the request was let through."""

    allowed: bool
    left: float

    def wait(self, limit: Limit, cost: float) -> int:
        """Whole seconds until a request of this cost will be let through."""
        return max(1, math.ceil((min(cost, limit.burst) - self.left) / limit.per_second))

    def headers(self, limit: Limit, policy: str) -> dict[str, str]:
        """`RateLimit` and its policy; `t` is when the bucket will be full again."""
        full_in = math.ceil((limit.burst - self.left) / limit.per_second)
        return {
            "RateLimit-Policy": f'"{policy}";q={limit.rate};w={WINDOW_SECONDS}',
            "RateLimit": f'"{policy}";r={max(0, math.floor(self.left))};t={max(0, full_in)}',
        }


class Buckets(Protocol):
    def take(self, bucket: int | str, limit: Limit, cost: float) -> Level | None:
        """Takes `cost` from the bucket where it holds so much; None when the store does not answer."""


class LocalBuckets:
    """Buckets of this process, under one lock; for the embedded default, whose web is one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._levels: dict[int | str, tuple[float, float]] = {}
        self._full_at: dict[int | str, float] = {}
        self._look_through_at = MANY

    def take(self, bucket: int | str, limit: Limit, cost: float) -> Level | None:
        """Takes `cost` from the bucket where it holds so much."""
        with self._lock:
            now = self._clock()
            level, at = self._levels.get(bucket, (float(limit.burst), now))
            level = min(limit.burst, level + max(0.0, now - at) * limit.per_second)
            cost = min(cost, limit.burst)
            allowed = level >= cost
            level -= cost if allowed else 0
            self._levels[bucket] = (level, now)
            self._full_at[bucket] = now + (limit.burst - level) / limit.per_second
            if len(self._levels) > self._look_through_at:
                self._forget_full_ones(now)
        return Level(allowed=allowed, left=level)

    def clear(self) -> None:
        """Forgets what was used."""
        with self._lock:
            self._levels.clear()
            self._full_at.clear()

    def _forget_full_ones(self, now: float) -> None:
        """A full bucket is as good as none: addresses without number must not fill the memory."""
        for bucket in [bucket for bucket, full_at in self._full_at.items() if full_at <= now]:
            del self._levels[bucket], self._full_at[bucket]
        self._look_through_at = max(MANY, 2 * len(self._levels))


class RedisBuckets:
    """Buckets that all processes share. One script reads, refills and takes, by Redis's own clock."""

    SCRIPT: Final = """
        local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        local clock = redis.call('TIME')
        local now = clock[1] + clock[2] / 1000000
        local kept = redis.call('HMGET', KEYS[1], 'level', 'at')
        local level = tonumber(kept[1]) or burst
        local passed = math.max(0, now - (tonumber(kept[2]) or now))
        level = math.min(burst, level + passed * rate)
        local allowed = level >= cost
        if allowed then level = level - cost end
        redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', string.format('%.6f', now))
        redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate) + 1)
        return {allowed and 1 or 0, string.format('%.6f', level)}
    """

    def __init__(self, redis: "Redis", clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = redis.connection_pool
        self._script = redis.register_script(self.SCRIPT)
        self._clock = clock
        self._resting_until = 0.0

    def take(self, bucket: int | str, limit: Limit, cost: float) -> Level | None:
        """Takes `cost` from the bucket where it holds so much; None when Redis does not answer."""
        if self._clock() < self._resting_until:
            return None
        cost = min(cost, limit.burst)
        try:
            allowed, left = self._run(f"calliyo:rate:{bucket}", limit.per_second, limit.burst, cost)
        except RedisError as error:
            self._resting_until = self._clock() + REST_SECONDS
            log.warning("throttling.cache_down", error=str(error))
            return None
        return Level(allowed=bool(allowed), left=float(left))

    def _run(self, key: str, *arguments: float) -> tuple[int, bytes]:
        """What the script says; sent plainly, as the client's own way there costs each request more than the script."""
        connection = self._connections.get_connection()
        try:
            connection.send_command("EVALSHA", self._script.sha, 1, key, *arguments)  # type: ignore[no-untyped-call]
            answer: tuple[int, bytes] = connection.read_response()
        except NoScriptError:  # a Redis that has started since
            answer = self._script(keys=[key], args=arguments)
        finally:
            self._connections.release(connection)
        return answer


def buckets_for(cache: dict[str, Any]) -> Buckets:
    """Redis's buckets where the cache setting names a Redis, else this process's own."""
    redis = redis_of(cache)
    return LocalBuckets() if redis is None else RedisBuckets(redis)


BUCKETS: Final = buckets_for(settings.CACHES["default"])


class TokenBucketThrottle(BaseThrottle):
    """Charges each request of a valid token; a view's `rate_cost` may say that it costs more than one."""

    def __init__(self) -> None:
        self._wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether the key has enough left; the answer carries `RateLimit` either way."""
        limits = _limits(request, caller_of(request).key)
        cost = view.rate_cost(request) if limits else 0
        for policy, bucket, limit in limits:
            level = BUCKETS.take(bucket, limit, cost)
            if level is None:
                continue
            _add(level.headers(limit, policy), view.headers)
            if not level.allowed:
                self._wait = level.wait(limit, cost)
                return False
        return True

    def wait(self) -> float | None:
        """Seconds for `Retry-After`."""
        return self._wait


def what_is_left(request: Request, key: APIKey) -> dict[str, str]:
    """`RateLimit` and its policies, and nothing is charged: whom a key keeps out must not use up what it has."""
    headers: dict[str, str] = {}
    for policy, bucket, limit in _limits(request, key):
        level = BUCKETS.take(bucket, limit, 0)
        if level is not None:
            _add(level.headers(limit, policy), headers)
    return headers


def _add(headers: dict[str, str], told: dict[str, str]) -> None:
    """Adds a policy's headers to those of the policies before it."""
    for name, value in headers.items():
        told[name] = f"{value}, {told[name]}" if name in told else value


def _limits(request: Request, key: APIKey) -> list[tuple[str, int | str, Limit]]:
    """The policies that hold for this request, each with its bucket's name."""
    rate = DEFAULT_RATE if key.rate_limit is None else key.rate_limit
    limits: list[tuple[str, int | str, Limit]] = [("default", key.pk, Limit(rate=rate))] if rate else []
    if key.allowed_origins:
        # First: one visitor who sends without end must not use up what the key has for all.
        limits.insert(0, ("address", f"{key.pk}:{_neighbourhood(request)}", Limit(rate=ADDRESS_RATE)))
    return limits


def _neighbourhood(request: Request) -> str:
    """The caller's address; of IPv6 the network that a household has to choose addresses from."""
    address = client_address(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)
