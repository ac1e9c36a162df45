"""A plain list on PostgreSQL: key, horizon and page by one statement, and nothing shown that should not be.

The statement is under way while the request goes on for the key as it was last read.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import last_use, lookup, tally
from apikeys.lookup import KEPT, KeptKey, page_behind_key, read_key
from apikeys.models import APIKey
from apikeys.operations import (
    activate_key,
    deactivate_key,
    delete_key,
    regenerate_token,
    rename_key,
    set_limits,
    set_scopes,
)
from calliyo.api.pagination import Ordering, Slice
from calliyo.api.sync import HorizonHere
from leads.api.leads import LeadViewSet
from leads.models import Lead
from tests.clients import fewest_statements, public_client
from tests.leads.factories import LeadFactory
from tests.servers import postgresql

pytestmark = pytest.mark.django_db(transaction=True)
LEADS, WRITERS, SECONDS = 30, 4, 3.0
NEWEST = Slice.at(None, ordering=Ordering.named("-id"), limit=50)


@pytest.fixture
def client():
    return public_client("leads:read")


@pytest.fixture
def kept(client):
    """The client's key is one that this process has read, and whose use is noted."""
    for _ in range(2):
        client.get("/public/leads")
    assert KEPT.get(client.key.digest)
    return client


def statements_of(call):
    with CaptureQueriesContext(connection) as queries:
        call()
    return len(queries)


def test_a_page_is_read_for_an_active_key_at_its_mark_and_for_no_other(kept):
    leads = [LeadFactory().pk for _ in range(3)]
    page, mark = page_behind_key(LeadViewSet, NEWEST), KEPT.get(kept.key.digest).mark

    def found(**others):
        values = {"digest": kept.key.digest, "mark": mark, "api_key": kept.key.pk, **others}
        return page.begin(values)()

    as_of, rows = found()
    while as_of is None:  # another test ended a transaction at this moment
        as_of, rows = found()
    assert [row[0] for row in rows] == leads[::-1]
    assert datetime.now(UTC) - datetime.fromisoformat(as_of) < timedelta(seconds=10)
    assert found(mark="1(0,1)") is found(digest="0" * 64) is None
    Lead.objects.all().delete()
    assert found()[1] == []
    APIKey.objects.filter(pk=kept.key.pk).update(active=False)
    read_key(kept.key.digest)
    assert found() is found(mark=KEPT.get(kept.key.digest).mark) is None


@pytest.mark.parametrize(
    "path", ["/public/leads?limit=0", "/public/leads?cursor=no", "/public/leads?fields=no"]
)
def test_who_may_not_come_in_is_not_told_what_is_wrong_with_the_query(client, path):
    assert client.get(path).status_code == 400
    deactivate_key(key=client.key)
    assert client.get(path).json()["code"] == "key_inactive"
    client.token = client.token[:-1] + ("0" if client.token[-1] != "0" else "1")
    assert client.get(path).status_code == 401


def test_a_page_that_was_read_for_a_key_without_the_scope_is_not_shown():
    LeadFactory(first_name="Meera")
    client = public_client("tags:read")
    for _ in range(3):
        answer = client.get("/public/leads")
        assert answer.status_code == 403 and b"Meera" not in answer.content


def test_nothing_is_read_ahead_for_a_token_that_was_refused_for_its_limit(monkeypatch):
    client = public_client("leads:read", rate_limit=2)
    while client.get("/public/leads").status_code == 200:
        pass
    read: list[str] = []
    monkeypatch.setattr(lookup, "page_behind_key", lambda *_: read.append("a page"))
    assert client.get("/public/leads").status_code == 429
    assert read == []


def test_each_of_two_keys_sees_its_own_external_ids(client):
    other = public_client("leads:read", "leads:write")
    lead = {"first_name": "Asha", "last_name": "Verma", "phone": "+919800000001", "external_id": "crm-7"}
    assert other.post("/public/leads", lead).status_code == 201
    for _ in range(3):
        own = [each.get("/public/leads").json()["results"][0]["external_id"] for each in (other, client)]
        assert own == ["crm-7", None]


def test_pages_behind_the_first_and_ordered_ones_are_read_so_too(kept):
    client = kept
    for _ in range(5):
        LeadFactory()
    path = "/public/leads?limit=2&ordering=-created_at"
    seen = []
    while path:
        assert fewest_statements(partial(client.get, path), at_most=1) == 1
        page = client.get(path).json()
        seen += [row["id"] for row in page["results"]]
        path = page["next"]
    assert seen == list(Lead.objects.order_by("-created_at", "-id").values_list("pk", flat=True))


def test_where_the_horizon_cannot_be_told_the_page_is_read_behind_one_that_can(kept, monkeypatch):
    lead = LeadFactory()

    class Untold:
        def begin(self, values):
            _, rows = page_behind_key(LeadViewSet, NEWEST).begin(values)()
            return lambda: (None, rows[:0])

    monkeypatch.setattr(lookup, "page_behind_key", lambda *_: Untold())
    pages = []
    assert statements_of(lambda: pages.append(kept.get("/public/leads").json())) == 3
    assert [row["id"] for row in pages[0]["results"]] == [lead.pk]
    assert pages[0]["as_of"] > lead.updated_at.isoformat(timespec="milliseconds")


def test_who_was_seen_writing_and_has_ended_since_leaves_no_horizon():
    horizon = f"SELECT {HorizonHere().as_sql(None, connection)[0]}"
    with postgresql() as url, psycopg.connect(url) as reader, psycopg.connect(url) as writer:
        reader.execute(import_module("calliyo.migrations.0003_horizon_here").FUNCTION)
        reader.execute("CREATE TABLE written (id int)")
        reader.commit()
        before = datetime.now(UTC)
        writer.execute("INSERT INTO written VALUES (1)")
        [began] = writer.execute("SELECT date_trunc('milliseconds', now())").fetchone()

        def told():
            [as_of] = reader.execute(horizon).fetchone()
            return as_of and datetime.fromisoformat(as_of)

        time.sleep(0.01)
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")  # its snapshot, which all that follows sees by
        assert told() == began
        writer.commit()
        reader.execute("SELECT pg_stat_clear_snapshot()")
        assert told() is None
        reader.commit()
        assert told() > began >= before.replace(microsecond=0)


# ── A key that has changed since it was kept ────────────────────────────────────────────────────────────────


def test_a_key_is_read_once_a_minute_and_anew_when_it_has_changed(client):
    LeadFactory()
    read = partial(client.get, "/public/leads")
    assert statements_of(read) == 3  # the key and the horizon, the page, and its use is noted
    assert statements_of(read) == 2
    assert fewest_statements(read, at_most=1) == 1
    rename_key(key=client.key, name="Another name")
    assert fewest_statements(read, at_most=3) == 3
    assert fewest_statements(read, at_most=1) == 1


@pytest.mark.parametrize(
    "change, status, code",
    [
        (deactivate_key, 401, "key_inactive"),
        (delete_key, 401, "invalid_token"),
        (regenerate_token, 401, "invalid_token"),
        (partial(set_scopes, scopes=["leads:write"]), 403, "insufficient_scope"),
        (
            partial(
                set_limits,
                rate_limit=0,
                allowed_addresses=["10.0.0.0/8"],
                allowed_origins=[],
                manage_webhooks=False,
            ),
            403,
            "address_not_allowed",
        ),
        (
            lambda key: APIKey.objects.filter(pk=key.pk).update(
                expires_at=timezone.now() - timedelta(seconds=1)
            ),
            401,
            "invalid_token",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/public/leads", "/public/leads?limit=1", "/public/tags"])
def test_a_change_of_a_key_holds_from_the_next_request_on(kept, change, status, code, path):
    LeadFactory(first_name="Meera")
    change(key=kept.key)
    for _ in range(3):
        answer = kept.get(path)
        if path != "/public/tags" or status == 401 or code == "address_not_allowed":
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert b"Meera" not in answer.content


@pytest.mark.parametrize("rate", [30, 20])  # from 25 left on, the limit is awaited beside the page
def test_a_request_that_was_begun_again_is_charged_once(rate):
    client = public_client("leads:read", rate_limit=rate)

    def left():
        answer = client.get("/public/leads")
        assert answer.status_code == 200
        return int(answer["RateLimit"].split(";")[1].removeprefix("r="))

    left(), left()
    assert KEPT.get(client.key.digest)
    before = left()
    rename_key(key=client.key, name="Another name")
    assert before - left() <= 1


def test_what_a_key_is_granted_it_may_at_once(kept):
    for _ in range(2):
        assert kept.get("/public/tags").status_code == 403
    set_scopes(key=kept.key, scopes=["tags:read"])
    assert kept.get("/public/tags").status_code == 200


def test_changes_within_one_transaction_are_told_apart(client):
    with transaction.atomic():
        for active in (True, False, True, False):
            APIKey.objects.filter(pk=client.key.pk).update(active=active, last_used_at=timezone.now())
            for _ in range(2):
                assert client.get("/public/leads").status_code == (200 if active else 401)


def test_who_is_shut_out_stays_out_whatever_other_threads_have_read(client):
    LeadFactory()
    stop = threading.Event()

    def read():
        try:
            while not stop.is_set():
                assert client.get("/public/leads").status_code in {200, 401}
        finally:
            connection.close()

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(40):
            deactivate_key(key=client.key)
            assert client.get("/public/leads").json()["code"] == "key_inactive"
            activate_key(key=client.key)
            assert client.get("/public/leads").status_code == 200
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_a_call_with_a_token_that_is_no_more_counts_for_nobody(kept, monkeypatch):
    counted = []
    monkeypatch.setattr(tally.TALLY, "count", lambda *args: counted.append(args[0]))
    kept.get("/public/leads")
    delete_key(key=kept.key)
    assert kept.get("/public/leads").status_code == 401
    assert counted == [kept.key.pk]


def test_the_use_of_a_kept_key_is_noted_every_minute(kept, monkeypatch):
    before = APIKey.objects.get().last_used_at
    kept.get("/public/leads")
    assert APIKey.objects.get().last_used_at == before
    monkeypatch.setattr(last_use, "EVERY", timedelta(0))
    kept.get("/public/leads")
    assert APIKey.objects.get().last_used_at > before


@pytest.mark.parametrize("path", ["/public/leads", "/public/tags", "/public/leads?fields=no"])
def test_a_database_that_goes_while_the_page_is_under_way_is_told(kept, monkeypatch, path):
    class Away:
        def begin(self, values):
            return self.end

        def end(self):
            raise OperationalError("the connection was closed")

    kept.get(path)
    monkeypatch.setattr(lookup, "page_behind_key", lambda *_: Away())
    answer = kept.get(path)
    if path == "/public/leads?fields=no":  # nothing is read ahead of a query that is wrong
        assert answer.status_code == 400
    else:  # a refusal, too, would be one by a key that may have changed
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    monkeypatch.undo()
    assert kept.get("/public/leads").status_code == 200


def test_only_so_many_keys_are_kept(client, monkeypatch):
    monkeypatch.setattr(lookup, "MANY", 3)
    read_key(client.key.digest)
    kept = KeptKey(KEPT._kept[client.key.digest].key, "1(0,1)")
    for number in range(10):
        KEPT.keep(f"{number:064}", kept)
        assert len(KEPT._kept) <= 3


# ── As of when ──────────────────────────────────────────────────────────────────────────────────────────────


def test_who_goes_on_from_any_plain_list_misses_nothing(client):
    leads = [LeadFactory().pk for _ in range(LEADS)]
    stop = threading.Event()

    def write(own):
        number = 0
        try:
            while not stop.is_set():
                number += 1
                Lead.objects.filter(pk=own[number % len(own)]).update(source=f"change {number}")
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(leads[number::WRITERS],)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    until, read = time.monotonic() + SECONDS, []
    while time.monotonic() < until:
        read.append(client.get(f"/public/leads?limit={LEADS}").json())
    stop.set()
    for writer in writers:
        writer.join()
    final = {row["id"]: row for row in client.get(f"/public/leads?limit={LEADS}").json()["results"]}
    assert len(read) > 20
    for page in read:
        since = client.get("/public/leads", {"updated_after": page["as_of"], "limit": LEADS}).json()[
            "results"
        ]
        assert {row["id"]: row for row in [*page["results"], *since]} == final
