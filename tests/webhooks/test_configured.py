"""Which services are Calliyo's own, read from the settings, and so never a webhook's receiver."""

from ipaddress import ip_network
from types import SimpleNamespace

import pytest

from webhooks.delivery.configured import configured_reach
from webhooks.delivery.urls import InvalidUrl, parse_url


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    settings = SimpleNamespace(CALLIYO_WEBHOOK_ALLOWED_NETWORKS=[])
    settings.BASE_URL = "https://crm.example.com"
    settings.DATABASES = {
        "default": {"ENGINE": "django.db.backends.postgresql", "HOST": "DB.example.com", "PORT": ""},
        "replica": {"ENGINE": "django.db.backends.postgresql", "HOST": "/var/run/postgresql", "PORT": 5433},
    }
    settings.CELERY_BROKER_URL = "amqp://one.example.com//;amqps://two.example.com:5677//"
    settings.CACHES = {
        "default": {"LOCATION": "redis://:secret@cache.example.com/1"},
        "more": {"LOCATION": ["rediss://a.example.com:7000", "unix:///tmp/redis.sock"]},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    monkeypatch.setattr("webhooks.delivery.configured.settings", settings)
    return settings


def test_page_database_broker_and_cache_are_known_by_host_and_port() -> None:
    assert configured_reach().own == {
        ("crm.example.com", 443),
        ("db.example.com", 5432),
        ("localhost", 5433),  # by way of a local socket: it listens on loopback as well
        ("one.example.com", 5672),
        ("two.example.com", 5677),
        ("cache.example.com", 6379),
        ("a.example.com", 7000),
    }


def test_a_page_on_a_port_of_its_own_and_embedded_services_without_one(settings: SimpleNamespace) -> None:
    settings.BASE_URL = "http://127.0.0.1:8000"
    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "calliyo.sqlite3"}}
    settings.CELERY_BROKER_URL = "filesystem://"
    settings.CACHES = {"default": {"LOCATION": "calliyo"}}
    assert configured_reach().own == {("127.0.0.1", 8000)}


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com/public/leads", "https://CRM.example.com:443/", "https://CACHE.example.com:6379/",
        "https://db.example.com:5432/", "http://127.0.0.1:5433/", "https://two.example.com:5677/",
    ],
)  # fmt: skip
def test_they_are_refused_as_text_already(settings: SimpleNamespace, url: str) -> None:
    settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    with pytest.raises(InvalidUrl, match="own services"):
        parse_url(url, configured_reach())


def test_other_ports_of_their_hosts_are_not_theirs() -> None:
    assert parse_url("https://crm.example.com:8443/", configured_reach()).port == 8443


def test_their_hosts_are_known_in_whatever_spelling(settings: SimpleNamespace) -> None:
    settings.CALLIYO_WEBHOOK_ALLOWED_NETWORKS = [ip_network("::1/128")]
    settings.BASE_URL = "https://Bücher.example."
    settings.CELERY_BROKER_URL = "redis://[0:0:0:0:0:0:0:1]/0"
    for url in ("https://bücher.example/", "https://xn--bcher-kva.example/", "http://[::1]:6379/"):
        with pytest.raises(InvalidUrl, match="own services"):
            parse_url(url, configured_reach())
