"""Prepared statements on PostgreSQL: what they read is what Django reads, on a connection that may have been closed."""

from datetime import timedelta

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from apikeys.authentication import _key_with
from apikeys.models import APIKey
from calliyo.api.sync import Horizon
from calliyo.statements import fetch
from tests.clients import public_client


@pytest.fixture
def at_the_beginning_of_a_request(transactional_db, monkeypatch):
    """Called, the kept connection is one of an earlier request, as far as Django knows."""
    connection = connections["default"]

    def begin():
        monkeypatch.setattr(connection, "health_check_enabled", True)
        monkeypatch.setattr(connection, "health_check_done", False)
        return connection

    return begin


@pytest.mark.parametrize("horizon", [None, Horizon])
def test_a_key_is_read_as_django_reads_it(db, horizon):
    made = public_client("leads:read", allowed_addresses=["10.0.0.0/8"]).key
    APIKey.objects.filter(pk=made.pk).update(
        last_used_at=timezone.now(), last_used_address="10.1.2.3", expires_at=timezone.now() + timedelta(1)
    )
    expected, read = APIKey.objects.get(pk=made.pk), _key_with(made.digest, horizon)[0]
    for field in APIKey._meta.concrete_fields:
        value = getattr(read, field.attname)
        assert value == getattr(expected, field.attname), field.attname
        assert type(value) is type(getattr(expected, field.attname)), field.attname


def test_a_kept_connection_that_the_server_has_closed_is_opened_anew(at_the_beginning_of_a_request):
    ((before,),) = fetch("SELECT pg_backend_pid()", ())
    with psycopg.connect(connections["default"].connection.info.dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    at_the_beginning_of_a_request()
    ((after,),) = fetch("SELECT pg_backend_pid()", ())
    assert after != before


def test_a_healthy_connection_is_not_asked_for_its_health(at_the_beginning_of_a_request, monkeypatch):
    fetch("SELECT 1", ())
    connection = at_the_beginning_of_a_request()
    monkeypatch.setattr(connection, "is_usable", lambda: pytest.fail("A round trip"))
    assert fetch("SELECT 1", ()) == [(1,)]
