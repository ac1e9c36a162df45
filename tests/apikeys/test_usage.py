"""Calls are counted by day, resource and result; the last that were not served are noted; nothing waits for it."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from apikeys import tally
from apikeys.models import APIKey, CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.operations import deactivate_key, delete_key, set_expiry
from apikeys.retention import PrunedUsage, prune_usage
from apikeys.scopes import Access
from apikeys.tally import REFUSED_KEPT, TALLY, Tally
from apikeys.usage import (
    Calls,
    calls_in_the_last_hour,
    daily_usage,
    hourly_calls,
    last_days_of_use,
    refused_calls,
    usage_by_resource,
)
from calliyo import counters
from calliyo.models import Company
from tests.clients import public_client


def counted():
    TALLY.write()
    rows = KeyUsage.objects.order_by("resource", "access", "result")
    return list(rows.values_list("resource", "access", "result", "calls"))


# ── Counting ────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_call_is_counted_by_resource_access_and_result(client_with):
    client = client_with("leads:read", "tags:write")
    for _ in range(3):
        client.get("/public/leads")
    client.get("/public/leads/")
    client.get("/public/leads/7")
    client.get("/public/leads?wrong=1")
    client.get("/public/calls")
    client.post("/public/tags", {"name": "hot"})
    client.request("OPTIONS", "/public/tags")
    assert counted() == [
        ("calls", "read", "refused", 1),
        ("leads", "read", "invalid", 2),
        ("leads", "read", "ok", 4),
        ("tags", "read", "ok", 1),
        ("tags", "write", "ok", 1),
    ]
    assert KeyUsage.objects.values_list("api_key_id").distinct().get() == (client.key.pk,)


def test_addresses_that_callers_make_up_are_counted_as_one(client_with):
    client = client_with("leads:read")
    for path in ("/public", "/public/", "/public/nothing", "/public/nowhere/1", "/public//leads"):
        assert client.get(path).status_code == 404
    client.post("/public/nothing", {})
    assert counted() == [("…", "read", "invalid", 5), ("…", "write", "invalid", 1)]
    assert refused_calls(client.key)[0].path == "/public/nothing"


def test_an_answer_that_has_not_changed_is_ok_and_a_crash_is_a_failure(client_with, monkeypatch):
    client = client_with("tags:read")
    etag = client.get("/public/tags")["ETag"]
    assert client.get("/public/tags", If_None_Match=etag).status_code == 304
    client.raise_errors(False)
    monkeypatch.setattr("leads.api.tags.TagViewSet.pictures", lambda *_: 1 / 0)
    assert client.get("/public/tags").status_code == 500
    assert counted() == [("tags", "read", "failed", 1), ("tags", "read", "ok", 2)]
    assert [call.code for call in refused_calls(client.key)] == ["internal_error"]


def test_too_many_requests_are_refused_calls(client_with):
    client = client_with(rate_limit=2)
    for _ in range(5):
        client.get("/public/me")
    assert counted() == [("me", "read", "ok", 2), ("me", "read", "refused", 3)]


def test_what_no_known_token_asks_is_nobodys(client_with, client):
    client_with()
    client.get("/public/me")
    client.get("/public/me", headers={"Authorization": "Bearer cly_live_nonsense"})
    gone = public_client()
    delete_key(key=gone.key)
    gone.get("/public/me")
    client.get("/settings")
    assert counted() == []
    assert not RefusedCall.objects.exists()


def test_counts_add_up_over_writings_and_processes(client_with):
    client = client_with()
    other_process = Tally(by_thread=False)
    for _ in range(2):
        client.get("/public/me")
        other_process.count(client.key.pk, "me", Access.READ, CallResult.OK)
        TALLY.write()
        other_process.write()
    assert counted() == [("me", "read", "ok", 4)]


def test_a_request_is_counted_without_a_statement(client_with, django_assert_num_queries):
    client = client_with()
    APIKey.objects.update(last_used_at=timezone.now() + timedelta(seconds=1))
    with django_assert_num_queries(1 + 1):  # the key, and its webhooks
        client.get("/public/me")


def test_many_keys_are_written_in_a_few_statements(db, django_assert_max_num_queries):
    Company.current()
    for key_id in range(250):
        TALLY.count(key_id, "leads", Access.READ, CallResult.OK)
    with django_assert_max_num_queries(1 + 2 + 2 * 3):  # the company, a savepoint, a hundred rows each, twice
        TALLY.write()
    assert KeyUsage.objects.count() == 250


def test_the_last_24_hours_are_told_by_the_hour_and_the_last_hour_alone(client_with):
    client, other = client_with(), client_with()
    now = datetime(2026, 11, 25, 12, 40, tzinfo=UTC)
    for ago, calls in (
        (timedelta(hours=30), 9),
        (timedelta(hours=5), 2),
        (timedelta(minutes=80), 1),
        (timedelta(), 4),
    ):
        with time_machine.travel(now - ago, tick=False):
            for _ in range(calls):
                client.get("/public/me")
            TALLY.write()
    # The last hour of the 24 ends with the running quarter: 11:45 to 12:45.
    told = hourly_calls([client.key.pk, other.key.pk], now)
    assert told == {client.key.pk: [0] * 18 + [2] + [0] * 3 + [1, 4], other.key.pk: [0] * 24}
    assert calls_in_the_last_hour(client.key, now) == 4
    assert calls_in_the_last_hour(client.key, now - timedelta(minutes=30)) == 5
    assert calls_in_the_last_hour(other.key, now) == 0


def test_the_last_hours_of_many_keys_are_one_statement(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert hourly_calls(range(200), timezone.now())[7] == [0] * 24


def test_the_last_day_of_use_is_that_of_calls_that_were_served(client_with):
    client = client_with("leads:read", "tags:write")
    days = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 3, 9)]
    for day, call in zip(days, ("leads", "leads", "calls"), strict=True):
        with time_machine.travel(day, tick=False):
            client.get(f"/public/{call}")
            TALLY.write()
    assert last_days_of_use(client.key) == {("leads", "read"): date(2026, 11, 3)}


def test_recent_calls_are_kept_for_two_days(client_with):
    client = client_with()
    for ago in (timedelta(days=3), timedelta(days=1)):
        with time_machine.travel(timezone.now() - ago):
            client.get("/public/me")
            TALLY.write()
    prune_usage()
    assert RecentCalls.objects.count() == 1
    assert KeyUsage.objects.count() == 2


def test_threads_lose_no_count(db):
    tallied = Tally(by_thread=False)

    def call():
        for _ in range(2000):
            tallied.count(7, "leads", Access.READ, CallResult.OK)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tallied.write()
    assert KeyUsage.objects.get().calls == 8000


def test_what_cannot_be_written_is_kept_for_the_next_time(client_with, monkeypatch, caplog):
    client = client_with("tags:read")
    client.get("/public/leads")
    with monkeypatch.context() as patch:
        patch.setattr(counters, "add", _away)
        with pytest.raises(OperationalError):
            TALLY.write()
        client.get("/public/leads")
        client.get("/public/tags")
    assert counted() == [("leads", "read", "refused", 2), ("tags", "read", "ok", 1)]
    assert len(refused_calls(client.key)) == 2


def _away(model, named_by, number, grown):
    raise OperationalError("the database is away")


def test_its_thread_writes_by_itself_and_outlives_a_database_that_is_away(
    transactional_db, monkeypatch, caplog
):
    monkeypatch.setattr(tally, "EVERY", 0.02)
    wrote, away = threading.Event(), threading.Event()

    def write(calls, refused):
        if not away.is_set():
            away.set()
            raise OperationalError("the database is away")
        assert not connection.in_atomic_block
        wrote.set()

    monkeypatch.setattr(tally, "_write", write)
    own = Tally()
    own.count(7, "leads", Access.READ, CallResult.OK)
    assert wrote.wait(10)
    assert "usage.not_written" in caplog.text


def test_a_process_that_ends_writes_the_rest_only_if_it_counted(db):
    idle = Tally(by_thread=False)
    idle.count(7, "leads", Access.READ, CallResult.OK)
    idle.finish()
    assert not KeyUsage.objects.exists()


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Asia/Kolkata", date(2026, 11, 25)),
        ("Asia/Kathmandu", date(2026, 11, 25)),
        ("America/New_York", date(2026, 11, 24)),
    ],
)
def test_a_day_is_the_companys(db, zone, day):
    Company.current()
    Company.objects.update(time_zone=zone)
    with time_machine.travel(datetime(2026, 11, 24, 18, 31, tzinfo=UTC), tick=False):
        TALLY.count(7, "leads", Access.READ, CallResult.OK)
        TALLY.write()
        assert KeyUsage.objects.get().day == day
        assert daily_usage(APIKey(pk=7), 2)[-1].calls.total == 1


# ── Refused calls ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_call_is_noted_without_its_query(client_with):
    client = client_with("tags:read")
    client.get("/public/leads?search=9876543210&token=theirs", X_Request_Id="ticket-7")
    client.post("/public/tags", {"name": "hot"})
    client.get("/public/tags?wrong=theirs")
    TALLY.write()
    assert [(call.method, call.path, call.status, call.code) for call in refused_calls(client.key)] == [
        ("GET", "/public/tags", 400, "validation_failed"),
        ("POST", "/public/tags", 403, "insufficient_scope"),
        ("GET", "/public/leads", 403, "insufficient_scope"),
    ]
    first = refused_calls(client.key)[-1]
    assert (first.address, first.request_id) == ("127.0.0.1", "ticket-7")
    assert not RefusedCall.objects.filter(path__contains="theirs").exists()


def test_a_key_that_is_not_let_in_is_noted_too(client_with, settings):
    client = client_with(allowed_addresses=["203.0.113.0/24"])
    client.get("/public/me")
    deactivate_key(key=client.key)
    client.get("/public/me")
    other = client_with()
    set_expiry(key=other.key, expires_at=timezone.now() + timedelta(hours=1))
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        other.get("/public/me")
    TALLY.write()
    assert [call.code for call in refused_calls(client.key)] == ["key_inactive", "address_not_allowed"]
    assert [call.code for call in refused_calls(other.key)] == ["invalid_token"]
    assert daily_usage(client.key)[-1].calls == Calls(refused=2)


def test_the_address_is_the_callers_behind_our_proxy(client_with, settings):
    settings.CALLIYO_TRUSTED_PROXIES = []
    client = client_with()
    client.get("/public/leads", X_Forwarded_For="2001:db8::7")
    TALLY.write()
    assert refused_calls(client.key)[0].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "noted"),
    [
        ("/public/tags/cly_live_abcdefghij", "/public/tags/cly_live_…"),
        ("/public/tags/whsec_abc", "/public/tags/whsec_…"),
        ("/public/tags/%00", "/public/tags/�"),
        ("/public/tags/%ff", "/public/tags/%FF"),
        ("/public/tags/" + "7" * 300, "/public/tags/" + "7" * 187),
    ],
)
def test_any_path_can_be_noted_and_no_secret_in_it(client_with, path, noted):
    client = client_with("tags:read")
    assert client.get(path).status_code == 404
    TALLY.write()
    assert RefusedCall.objects.get().path == noted


def test_only_the_last_hundred_of_a_key_are_kept(client_with, monkeypatch):
    client, other = client_with(), client_with()
    other.get("/public/tags")
    for number in range(3):
        for _ in range(40):
            client.get(f"/public/tags/{number}")
        TALLY.write()
    found = refused_calls(client.key)
    assert len(found) == REFUSED_KEPT
    assert [call.path for call in found[:40]] == ["/public/tags/2"] * 40
    assert found[-1].path == "/public/tags/0"
    assert len(refused_calls(other.key)) == 1


def test_a_flood_between_two_writings_fills_no_memory(client_with):
    for number in range(3 * REFUSED_KEPT):
        call = RefusedCall(api_key_id=7, at=timezone.now(), method="GET", path=str(number), status=403)
        TALLY.count(7, "leads", Access.READ, CallResult.REFUSED, call)
    TALLY.write()
    assert RefusedCall.objects.count() == REFUSED_KEPT
    assert RefusedCall.objects.first().path == "299"
    assert KeyUsage.objects.get().calls == 300


# ── What is read of it ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def used(client_with):
    """A key with calls of today, of five days ago and of long ago."""
    Company.current()
    key = client_with().key
    today = timezone.now().date()
    with time_machine.travel(
        datetime.combine(today, datetime.min.time(), UTC) + timedelta(hours=12), tick=False
    ):
        for ago, resource, access, result, calls in [
            (0, "leads", "read", "ok", 10),
            (0, "leads", "write", "invalid", 2),
            (0, "tags", "read", "refused", 3),
            (5, "leads", "read", "failed", 4),
            (40, "leads", "read", "ok", 99),
        ]:
            KeyUsage.objects.create(
                api_key_id=key.pk, day=today - timedelta(days=ago), resource=resource, access=access, result=result,
                calls=calls,
            )  # fmt: skip
        yield key


def test_days_without_calls_are_there_with_zeros(used, django_assert_num_queries):
    days = daily_usage(used, 7)
    assert [day.calls.total for day in days] == [0, 4, 0, 0, 0, 0, 15]
    assert days[-1].calls == Calls(ok=10, invalid=2, refused=3)
    assert days[1].calls == Calls(failed=4)
    assert [day.day for day in days] == sorted(day.day for day in days)
    assert sum(day.calls.total for day in daily_usage(used, 60)) == 118
    with django_assert_num_queries(2):  # the company's time zone is one
        daily_usage(used)


def test_usage_by_resource_has_the_most_called_first(used):
    first, second = usage_by_resource(used, 7)
    assert (first.resource, first.reads, first.writes) == ("leads", Calls(ok=10, failed=4), Calls(invalid=2))
    assert (second.resource, second.reads.refused, second.writes.total) == ("tags", 3, 0)


# ── Retention ───────────────────────────────────────────────────────────────────────────────────────────────


def test_old_counts_and_calls_are_pruned_in_batches(db, monkeypatch):
    monkeypatch.setattr("apikeys.retention.BATCH", 2)
    now = timezone.now()
    for ago in (0, 399, 402, 500, 501, 502):
        KeyUsage.objects.create(
            api_key_id=7,
            day=(now - timedelta(days=ago)).date(),
            resource="me",
            access="read",
            result="ok",
            calls=1,
        )
    for ago in (0, 89, 91):
        RefusedCall.objects.create(
            api_key_id=7, at=now - timedelta(days=ago), method="GET", path="/", status=403
        )
    assert prune_usage(dry_run=True) == PrunedUsage(usage=4, refused_calls=1)
    assert prune_usage() == PrunedUsage(usage=4, refused_calls=1)
    assert (KeyUsage.objects.count(), RefusedCall.objects.count()) == (2, 2)
