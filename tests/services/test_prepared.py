"""Prepared statements on PostgreSQL: what they read is what Django reads, on a connection that may have been closed."""

import time
from datetime import timedelta
from functools import partial
from unittest.mock import ANY

import psycopg
import pytest
from django.db import DataError, OperationalError, ProgrammingError, connections
from django.test import RequestFactory
from django.utils import timezone

from apikeys.lookup import KEPT, key_for, read_key
from apikeys.models import APIKey
from calliyo.api.sync import Horizon
from calliyo.prepared import begin, fetch
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


def kept(digest):
    read_key(digest)
    view = LeadViewSet(detail=False, action_map={"get": "list"}, args=(), kwargs={})
    key, horizon = key_for(digest, view.initialize_request(RequestFactory().get("/public/leads")))
    assert view.ahead.found() == (ANY, []) and key is KEPT.get(digest).key
    return key, horizon


@pytest.mark.parametrize("read", [read_key, partial(read_key, horizon=Horizon), kept])
def test_a_key_is_read_as_django_reads_it(db, read):
    made = public_client("leads:read", allowed_addresses=["10.0.0.0/8"]).key
    APIKey.objects.filter(pk=made.pk).update(
        last_used_at=timezone.now(), last_used_address="10.1.2.3", expires_at=timezone.now() + timedelta(1)
    )
    expected, read = APIKey.objects.get(pk=made.pk), read(made.digest)[0]
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


# ── A statement that is under way ───────────────────────────────────────────────────────────────────────────


def test_the_rows_of_a_statement_that_was_begun_come_each_time_they_are_asked_for(transactional_db):
    rows = begin("SELECT %s::int, pg_sleep(0.05)::text", [7])
    assert rows() == rows() == [(7, "")]
    assert fetch("SELECT 8", ()) == [(8,)]


def test_nobody_waits_for_a_statement_that_was_begun(transactional_db):
    fetch("SELECT pg_sleep(%s)", [0.0])  # prepared from here on
    before = time.monotonic()
    rows = begin("SELECT pg_sleep(%s)", [1.5])
    begun = time.monotonic()
    rows()
    assert begun - before < 0.75
    assert time.monotonic() - before >= 1.5


def test_a_statement_whose_rows_nobody_took_stands_in_no_others_way(transactional_db):
    begin("SELECT pg_sleep(0.05)", ())
    assert fetch("SELECT 1", ()) == [(1,)]
    begin("SELECT 1 / 0", ())
    assert begin("SELECT 2", ())() == [(2,)]


def test_what_fails_on_the_way_is_told_as_djangos_error_to_who_asks_for_the_rows(transactional_db):
    rows = begin("SELECT 1 / %s::int", [0])
    for _ in range(2):
        with pytest.raises(DataError):
            rows()
    with pytest.raises(ProgrammingError):
        begin("SELEKT 1", ())()
    assert fetch("SELECT 1", ()) == [(1,)]


def test_a_server_that_goes_while_a_statement_is_under_way_is_told_and_the_connection_opened_anew(
    at_the_beginning_of_a_request,
):
    ((before,),) = fetch("SELECT pg_backend_pid()", ())
    rows = begin("SELECT pg_sleep(20)", ())
    with psycopg.connect(connections["default"].connection.info.dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    with pytest.raises(OperationalError):
        rows()
    connections["default"].close_if_unusable_or_obsolete()
    at_the_beginning_of_a_request()
    assert fetch("SELECT pg_backend_pid()", ()) != [(before,)]
