"""Prepared statements on PostgreSQL: what they read is what Django reads, on a connection that may have been closed."""

from datetime import timedelta
from functools import partial

import psycopg
import pytest
from django.db import connections
from django.test import RequestFactory
from django.utils import timezone

from apikeys.authentication import _key_for, _key_with
from apikeys.models import APIKey
from calliyo.api.sync import Horizon
from calliyo.statements import fetch
from leads.api.leads import LeadViewSet
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


def with_a_page(digest):
    view = LeadViewSet(detail=False, action_map={"get": "list"}, args=(), kwargs={})
    return _key_for(digest, view.initialize_request(RequestFactory().get("/public/leads")))


@pytest.mark.parametrize("read_key", [_key_with, partial(_key_with, horizon=Horizon), with_a_page])
def test_a_key_is_read_as_django_reads_it(db, read_key):
    made = public_client("leads:read", allowed_addresses=["10.0.0.0/8"]).key
    APIKey.objects.filter(pk=made.pk).update(
        last_used_at=timezone.now(), last_used_address="10.1.2.3", expires_at=timezone.now() + timedelta(1)
    )
    expected, read = APIKey.objects.get(pk=made.pk), read_key(made.digest)[0]
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
