"""Calliyo's processes on real servers: what goes away comes back, and nothing that was saved is lost."""

import time

import pytest
import requests
from django.db import connection

from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from leads.models import Lead
from tests import servers
from tests.processes import wait_until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def health(address: str) -> dict[str, str]:
    response = requests.get(f"{address}/healthz", timeout=5)
    assert response.status_code == 200
    return response.json()


def test_the_suite_runs_on_postgresql_and_redis_here(settings):
    assert connection.vendor == "postgresql"
    assert settings.CELERY_BROKER_URL.startswith("redis://")
    assert settings.CACHES["default"]["BACKEND"].endswith("RedisCache")


def test_a_broker_that_dies_delays_no_request_and_is_told_of(start_web):
    token = create_api_key(name="Form", scopes=[Scope.LEADS_WRITE, Scope.LEADS_READ]).token
    lead = {"first_name": "Asha", "source": "website"}
    with servers.redis() as url:
        web = start_web(CALLIYO_TESTS_REDIS=url)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        assert health(web.address) == {"database": "ok", "broker": "ok"}
        assert (
            session.post(f"{web.address}/public/leads", json={**lead, "phone": "9800000001"}).status_code
            == 201
        )
    for number in range(2, 7):
        began = time.monotonic()
        answer = session.post(f"{web.address}/public/leads", json={**lead, "phone": f"980000000{number}"})
        assert answer.status_code == 201
        assert time.monotonic() - began < 1.5  # far below a driver's time limits
    assert Lead.objects.count() == 6
    assert wait_until(lambda: health(web.address)["broker"] == "down", seconds=15)


def test_gunicorn_ends_its_requests_when_it_is_asked_to_stop(start_web):
    web = start_web()
    assert health(web.address)["database"] == "ok"
    assert web.stop() == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{web.address}/healthz", timeout=2)
