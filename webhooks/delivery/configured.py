"""The sender as the settings want it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from webhooks.delivery.addresses import Reach, reach_of
from webhooks.delivery.send import Sender

_PORTS = {
    "http": 80,
    "https": 443,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "sentinel": 26379,
}
_POSTGRESQL_PORT = 5432


def configured_reach() -> Reach:
    """Public addresses, the allowed networks, and never Calliyo's own page, database, broker or cache."""
    return reach_of(settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS, list(_own_services()))


def configured_sender() -> Sender:
    """A new sender with connections of its own."""
    return Sender(reach=configured_reach(), timeout=settings.CALLIYO_WEBHOOK_TIMEOUT)


def _own_services() -> Iterator[tuple[str, int]]:
    for database in settings.DATABASES.values():
        if "postgresql" in database["ENGINE"]:
            host = str(database.get("HOST") or "")
            # By way of a local socket: the same server is likely to listen on loopback as well.
            at = host if host and not host.startswith("/") else "localhost"
            yield at, int(database.get("PORT") or _POSTGRESQL_PORT)
    for url in (settings.BASE_URL, *_urls_of_broker_and_caches()):
        parts = urlsplit(url)
        if parts.hostname and parts.scheme in _PORTS:
            yield parts.hostname, parts.port or _PORTS[parts.scheme]


def _urls_of_broker_and_caches() -> Iterator[str]:
    yield from settings.CELERY_BROKER_URL.split(";")  # Celery's way to name several, for fail-over
    for cache in settings.CACHES.values():
        locations = cache.get("LOCATION") or []
        yield from re.split("[;,]", locations) if isinstance(locations, str) else locations
