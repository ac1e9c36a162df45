"""`/healthz`: a database is needed, a broker is not, and neither a hanging one holds the answer."""

import socket
import time
from functools import partial
from unittest import mock

import pytest
from django.db import InterfaceError, OperationalError, connection

from calliyo import health
from calliyo.broker_link import Link
from tests.servers import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_known_yet(monkeypatch):
    monkeypatch.setattr(health, "_broker_check", health.BrokerCheck())


@pytest.fixture
def broker_at(monkeypatch):
    def use(url: str) -> None:
        monkeypatch.setattr(health, "Link", partial(Link, url))

    return use


def test_all_is_well(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"database": "ok", "broker": "ok"})
    assert "no-store" in response["Cache-Control"]


def test_a_broker_that_refuses_is_down_and_the_answer_is_still_200(client, broker_at):
    broker_at(f"redis://127.0.0.1:{free_port()}/0")
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"database": "ok", "broker": "down"})


def test_a_broker_that_hangs_holds_the_answer_for_a_second_at_most(client, broker_at):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker_at(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        began = time.monotonic()
        response = client.get("/healthz")
        assert time.monotonic() - began < health.PATIENCE + 2  # the driver itself would wait for 5 s
    assert response.json() == {"database": "ok", "broker": "down"}


def test_the_broker_is_asked_once_in_a_few_seconds(client):
    with mock.patch.object(health, "Link", wraps=health.Link) as link:
        client.get("/healthz")
        client.get("/healthz")
    assert link.call_count == 1


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_without_a_database_it_is_503(client, error):
    with mock.patch.object(connection, "cursor", side_effect=error("gone")):
        response = client.get("/healthz")
    assert (response.status_code, response.json()["database"]) == (503, "down")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_only_reads(client, method):
    assert getattr(client, method)("/healthz").status_code == 405


def test_the_root_leads_to_the_settings_page(client):
    response = client.get("/")
    assert (response.status_code, response["Location"]) == (302, "/settings?tab=api")


def test_there_are_no_metrics_without_a_token(client):
    assert client.get("/metrics").status_code == 404
