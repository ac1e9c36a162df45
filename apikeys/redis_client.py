"""The Redis that web processes share, where the cache setting names one."""

from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# A request waits no longer for what only protects it.
_TIMEOUT_SECONDS: Final = 0.1


def redis_of(cache: dict[str, Any]) -> "Redis | None":
    """A client of the cache's Redis that fails fast; None where processes share nothing."""
    if not cache["BACKEND"].endswith("RedisCache"):
        return None
    location = cache["LOCATION"]
    return Redis.from_url(
        location if isinstance(location, str) else location[0],
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
