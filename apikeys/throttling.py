"""How often a key may ask: a token bucket, refilled evenly, in Redis where there is one, else in the process.

600 requests a minute with bursts of 100 unless the key says otherwise. A Redis that is down lets requests
through.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_network
from threading import Lock, local
from typing import Any, Final, Protocol, TypeAlias

import structlog
from django.conf import settings
from redis import Redis, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
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
# From so much left on, what a bucket says is awaited while the list is read: a flood soon ends that for its key.
PLENTY: Final = 25


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


Policy: TypeAlias = tuple[str, int | str, Limit]  # its name, its bucket's name, its limit


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

    def has_plenty(self, bucket: int | str) -> bool:
        """Whether the bucket held so much lately that what it says may be awaited beside other work."""

    def charge(self, bucket: int | str, limit: Limit, cost: float) -> Callable[[], Level | None]:
        """As `take`, but what is returned gives the level, once, in the same thread; until then nobody waits."""


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

    def has_plenty(self, bucket: int | str) -> bool:
        """Never: nothing is waited for here."""
        return False

    def charge(self, bucket: int | str, limit: Limit, cost: float) -> Callable[[], Level | None]:
        """Takes at once."""
        level = self.take(bucket, limit, cost)
        return lambda: level

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


class _Line(local):
    """This thread's connection to Redis, and whether an answer is still on its way there."""

    connection: Any = None
    awaited = False


class RedisBuckets:
    """Buckets that all processes share. One script reads, refills and takes, by Redis's own clock.

    A bucket is kept as the moment (µs) at which it will be full. Each thread keeps a connection of its own, and what
    is sent goes there plainly: the client's pool and its way of scripts cost a request more than Redis does.
    """

    # By µs: what a request costs, and what is missing in an empty bucket.
    SCRIPT: Final = """
        local clock = redis.call('TIME')
        local now = clock[1] * 1000000 + clock[2]
        local cost, most = tonumber(ARGV[1]), tonumber(ARGV[2])
        local missing = (redis.call('GET', KEYS[1]) or now) - now
        missing = math.min(math.max(missing, 0), most)
        if missing + cost > most then return {0, math.ceil(missing)} end
        missing = missing + cost
        redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', math.ceil(missing / 1000) + 1)
        return {1, math.ceil(missing)}
    """

    def __init__(self, redis: "Redis", clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._script = redis.register_script(self.SCRIPT)
        self._clock = clock
        self._resting_until = 0.0
        self._line = _Line()
        self._left: dict[int | str, float] = {}

    def take(self, bucket: int | str, limit: Limit, cost: float) -> Level | None:
        """Takes `cost` from the bucket where it holds so much; None when Redis does not answer."""
        return self.charge(bucket, limit, cost)()

    def has_plenty(self, bucket: int | str) -> bool:
        """Whether this process saw at least `PLENTY` left there when it last asked."""
        return self._left.get(bucket, 0) >= PLENTY

    def charge(self, bucket: int | str, limit: Limit, cost: float) -> Callable[[], Level | None]:
        """Sends what `take` sends; the level is read when what is returned is called."""
        if self._clock() < self._resting_until:
            return lambda: None
        each = 1_000_000 / limit.per_second
        arguments = (f"calliyo:bucket:{bucket}", min(cost, limit.burst) * each, limit.burst * each)
        try:
            self._send(*arguments)
        except RedisError as error:
            self._rest(error)
            return lambda: None
        return partial(self._level, bucket, limit, each, arguments)

    def _level(
        self, bucket: int | str, limit: Limit, each: float, arguments: tuple[str, float, float]
    ) -> Level | None:
        try:
            allowed, missing = self._answer(*arguments)
        except RedisError as error:
            self._rest(error)
            return None
        left = limit.burst - missing / each
        if len(self._left) > MANY:
            self._left.clear()
        self._left[bucket] = left
        return Level(allowed=bool(allowed), left=left)

    def _send(self, key: str, cost: float, most: float) -> None:
        line = self._line
        if line.awaited:  # a request that broke off has left its answer there
            self._hang_up()
        command = ("EVALSHA", self._script.sha, 1, key, cost, most)
        if line.connection is not None:
            try:
                self._write(*command)
            except RedisConnectionError:  # kept too long, as below
                self._hang_up()
            else:
                return
        line.connection = self._redis.connection_pool.make_connection()
        self._write(*command)

    def _write(self, *command: Any) -> None:
        self._line.awaited = True
        self._line.connection.send_command(*command)

    def _answer(self, *arguments: Any) -> tuple[int, int]:
        try:
            answer: tuple[int, int] = self._line.connection.read_response()
        except NoScriptError:  # a Redis that has started since
            answer = self._script(keys=arguments[:1], args=arguments[1:])
        except RedisConnectionError:  # kept too long: Redis has hung up meanwhile
            self._hang_up()
            self._send(*arguments)
            answer = self._line.connection.read_response()
        self._line.awaited = False
        return answer

    def _rest(self, error: RedisError) -> None:
        self._hang_up()
        self._resting_until = self._clock() + REST_SECONDS
        log.warning("throttling.cache_down", error=str(error))

    def _hang_up(self) -> None:
        line = self._line
        if line.connection is not None:
            line.connection.disconnect()
        line.connection, line.awaited = None, False


def buckets_for(cache: dict[str, Any]) -> Buckets:
    """Redis's buckets where the cache setting names a Redis, else this process's own."""
    redis = redis_of(cache)
    return LocalBuckets() if redis is None else RedisBuckets(redis)


BUCKETS: Final = buckets_for(settings.CACHES["default"])


class Refusals:
    """Which tokens this process has refused for their limit, until their buckets hold enough again, by digest.

    Nothing is read for these before they are let in: a flood must not cost the database what the limit saves it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def note(self, digest: str, seconds: float) -> None:
        """It has to wait so long."""
        if len(self._until) > MANY:
            self._until.clear()
        self._until[digest] = self._clock() + seconds

    def hold(self, digest: str) -> bool:
        """Whether it would have to wait now."""
        return self._until.get(digest, 0) > self._clock()


REFUSALS: Final = Refusals()


class TokenBucketThrottle(BaseThrottle):
    """Charges each request of a valid token; a view's `rate_cost` may say that it costs more than one."""

    def __init__(self) -> None:
        self._wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether the key has enough left; the answer carries `RateLimit` either way."""
        limits = _limits(request, caller_of(request).key)
        cost = view.rate_cost(request) if limits else 0
        if len(limits) == 1 and view.reads_ahead(request) and BUCKETS.has_plenty(limits[0][1]):
            _, bucket, limit = policy = limits[0]
            due = _unpaid(view, bucket, cost)
            level_of = BUCKETS.charge(bucket, limit, due)

            def settle() -> None:
                wait = _told(request, view, policy, due, level_of())
                if wait is not None:
                    view.throttled(request, wait)

            view.awaited = settle
            return True
        for policy in limits:
            _, bucket, limit = policy
            due = _unpaid(view, bucket, cost)
            self._wait = _told(request, view, policy, due, BUCKETS.take(bucket, limit, due))
            if self._wait is not None:
                return False
        return True

    def wait(self) -> float | None:
        """Seconds for `Retry-After`."""
        return self._wait


def _unpaid(view: Any, bucket: int | str, cost: float) -> float:
    """What is still to be taken: nothing by a request that was begun again, its key having changed meanwhile."""
    return 0 if bucket in view.charged else cost


def _told(request: Request, view: Any, policy: Policy, cost: float, level: Level | None) -> int | None:
    """Notes what a bucket has said, in the answer's headers too; seconds to wait where it refused.

    A store that does not answer refuses nobody.
    """
    name, bucket, limit = policy
    if level is None:
        return None
    _add(level.headers(limit, name), view.headers)
    if level.allowed:
        view.charged |= {bucket}
        return None
    wait = level.wait(limit, cost)
    REFUSALS.note(caller_of(request).key.digest, wait)
    return wait


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


def _limits(request: Request, key: APIKey) -> list[Policy]:
    """The policies that hold for this request, each with its bucket's name."""
    rate = DEFAULT_RATE if key.rate_limit is None else key.rate_limit
    limits: list[Policy] = [("default", key.pk, Limit(rate=rate))] if rate else []
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
