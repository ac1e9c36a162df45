"""The sender as the settings want it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from webhooks.delivery.addresses import Reach, reach_of
from webhooks.delivery.send import Sender

_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
_POSTGRESQL_PORT = 5432


def configured_reach() -> Reach:
    """Public addresses, the allowed networks, and never Calliyo's own page, database, broker or cache."""
    return reach_of(settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS, list(_own_services()))


def configured_sender() -> Sender:
    """A new sender with connections of its own."""
    return Sender(reach=configured_reach(), timeout=settings.CALLIYO_WEBHOOK_TIMEOUT)


def _own_services() -> Iterator[tuple[str, int]]:
    database = settings.DATABASES["default"]
    if database.get("HOST"):
        yield str(database["HOST"]), int(database.get("PORT") or _POSTGRESQL_PORT)
    locations = settings.CACHES["default"].get("LOCATION") or []
    urls = [locations] if isinstance(locations, str) else list(locations)
    for url in (settings.BASE_URL, settings.CELERY_BROKER_URL, *urls):
        parts = urlsplit(url)
        if parts.hostname and parts.scheme in _PORTS:
            yield parts.hostname, parts.port or _PORTS[parts.scheme]
