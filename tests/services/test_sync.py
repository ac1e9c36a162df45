"""Incremental sync on PostgreSQL: who follows `updated_after` and `as_of` misses nothing that commits late."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import factory
import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from calliyo.api.sync import Horizon
from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, Tag
from leads.operations.intake import update_lead
from tests.clients import public_client
from tests.copies import Copy
from tests.leads.factories import LeadFactory
from tests.processes import wait_until
from tests.servers import postgresql

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 20


@pytest.fixture
def client():
    return public_client("leads:read")


def synced(client, kept, as_of):
    """One round of a reader: takes all that changed since, and gives the moment for the next."""
    query = {"updated_after": as_of, "limit": 20} if as_of else {"limit": 20}
    page = client.get("/public/leads", query).json()
    first_as_of = page["as_of"]
    while True:
        assert page["as_of"] == first_as_of
        kept.update({row["id"]: row for row in page["results"]})
        if page["next"] is None:
            return first_as_of
        page = client.get(page["next"]).json()


def in_thread(function):
    def run():
        try:
            return function()
        finally:
            connection.close()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def test_a_change_that_commits_late_is_read_next_time(client):
    late, other = LeadFactory(), LeadFactory()
    stamped, may_commit = threading.Event(), threading.Event()

    def write_late():
        with unit_of_work():
            Lead.objects.filter(pk=late.pk).update(source="late")
            stamped.set()
            assert may_commit.wait(PATIENCE)

    writer = in_thread(write_late)
    assert stamped.wait(PATIENCE)
    time.sleep(0.01)
    other.source = "early"
    other.save()
    time.sleep(0.01)
    kept = {}
    as_of = synced(client, kept, None)
    assert kept[late.pk]["source"] != "late"
    during = synced(client, kept, as_of)
    assert during <= other.updated_at.isoformat(timespec="milliseconds")
    may_commit.set()
    writer.result(PATIENCE)
    time.sleep(0.01)
    synced(client, kept, during)
    assert (kept[late.pk]["source"], kept[other.pk]["source"]) == ("late", "early")


def test_a_change_whose_stamp_is_the_very_moment_of_as_of_is_read_next_time(client):
    late = LeadFactory()
    wrote, edge, may_commit = threading.Event(), [], threading.Event()

    def write_late():
        with unit_of_work():
            Lead.objects.filter(pk=late.pk).update(source="late")
            wrote.set()
            assert may_commit.wait(PATIENCE)
            with connection.cursor() as cursor:  # the earliest stamp that this transaction could have
                cursor.execute("UPDATE leads_lead SET updated_at = %s WHERE id = %s", [edge[0], late.pk])

    writer = in_thread(write_late)
    assert wrote.wait(PATIENCE)
    kept = {}
    edge.append(synced(client, kept, None))
    may_commit.set()
    writer.result(PATIENCE)
    time.sleep(0.01)
    synced(client, kept, edge[0])
    assert (kept[late.pk]["source"], kept[late.pk]["updated_at"]) == ("late", edge[0])


def test_an_open_reader_or_an_idle_transaction_holds_nobody_back(client):
    lead = LeadFactory()
    began, may_end = threading.Event(), threading.Event()

    def only_read():
        with unit_of_work():
            Lead.objects.count()
            began.set()
            assert may_end.wait(PATIENCE)

    reader = in_thread(only_read)
    assert began.wait(PATIENCE)
    time.sleep(0.01)
    before = timezone.now() - timedelta(seconds=1)
    as_of = client.get("/public/leads", {"updated_after": before.isoformat()}).json()["as_of"]
    assert as_of > lead.updated_at.isoformat(timespec="milliseconds")
    may_end.set()
    reader.result(PATIENCE)


def test_a_transaction_that_began_long_before_it_wrote_is_read_next_time(client):
    """Its start is older than what was read meanwhile, its stamp must not be."""
    late, other = LeadFactory(), LeadFactory()
    began, may_write = threading.Event(), threading.Event()

    def write_late():
        with unit_of_work():
            Lead.objects.count()
            began.set()
            assert may_write.wait(PATIENCE)
            Lead.objects.filter(pk=late.pk).update(source="late")

    writer = in_thread(write_late)
    assert began.wait(PATIENCE)
    time.sleep(0.01)
    Lead.objects.filter(pk=other.pk).update(source="early")
    time.sleep(0.01)
    kept = {}
    as_of = synced(client, kept, None)
    assert kept[other.pk]["source"] == "early"
    may_write.set()
    writer.result(PATIENCE)
    time.sleep(0.01)
    synced(client, kept, as_of)
    assert kept[late.pk]["source"] == "late"


def test_a_deletion_that_commits_late_is_told_next_time(client, live_server):
    late, other = LeadFactory(), LeadFactory()
    gone, may_commit = threading.Event(), threading.Event()

    def delete_late():
        with unit_of_work():
            Lead.objects.filter(pk=late.pk).delete()
            gone.set()
            assert may_commit.wait(PATIENCE)

    writer = in_thread(delete_late)
    assert gone.wait(PATIENCE)
    time.sleep(0.01)
    Lead.objects.filter(pk=other.pk).delete()
    time.sleep(0.01)
    with Copy(live_server.url, client.token) as copy:
        copy.run()
        assert late.pk in copy.rows
        may_commit.set()
        writer.result(PATIENCE)
        time.sleep(0.01)
        copy.run()
        assert copy.rows == {}


LEADS, SECONDS = 1_200, 6.0


class Writing:
    """What eight writers do at once, each in a unit of work that may stay open for a while, or be rolled back."""

    def __init__(self, seed, tags) -> None:
        self.chance = random.Random(seed)
        self.tags = tags
        self.writes = (
            [self.change_one] * 5
            + [self.change_many_at_once] * 2
            + [self.change_some_in_bulk, self.tag, self.delete, self.create, self.forsake]
        )

    def go_on_until(self, end):
        while time.monotonic() < end:
            try:
                self.write()
            except Forsaken:
                continue

    @unit_of_work
    def write(self):
        if self.chance.random() < 0.2:
            Lead.objects.count()  # the transaction has begun, and has no id yet
            time.sleep(self.chance.choice([0, 0.05, 0.2]))
        self.chance.choice(self.writes)()
        time.sleep(self.chance.choice([0, 0, 0, 0.05, 0.3]))

    def word(self):
        return str(self.chance.random())

    def some(self, count):
        return Lead.objects.filter(
            pk__in=self.chance.sample(list(Lead.objects.values_list("pk", flat=True)), count)
        )

    def change_one(self):
        lead = self.some(1).select_for_update(no_key=True).first()
        if lead is not None:
            update_lead(lead=lead, changes={"source": self.word()})

    def change_many_at_once(self):
        self.some(1_000).update(source=self.word())

    def change_some_in_bulk(self):
        leads = list(self.some(5).order_by("pk").select_for_update(no_key=True))
        for lead in leads:
            lead.source = self.word()
        Lead.objects.bulk_update(leads, ["source"])

    def tag(self):
        lead = self.some(1).select_for_update(no_key=True).first()
        if lead is not None:
            lead.tags.set(self.chance.sample(self.tags, 1))

    def delete(self):
        self.some(2).delete()

    def create(self):
        LeadFactory.create_batch(2, phone=factory.LazyFunction(self.number))

    def number(self):
        return f"+9198{self.chance.randrange(10**8):08}"

    def forsake(self):
        self.some(3).update(source="never")
        raise Forsaken


class Forsaken(Exception):
    """A unit of work that is rolled back after it wrote."""


@pytest.mark.parametrize("seed", [1, 2])
def test_readers_beside_eight_writers_end_with_every_rows_last_state(client, live_server, seed):
    """One follows the pages, one the six lines of `docs/sync.md`; both end with the list as it is."""
    LeadFactory.create_batch(LEADS)
    tags = [Tag.objects.create(name=f"tag {number}") for number in range(5)]
    end = time.monotonic() + SECONDS
    writers = [in_thread(partial(Writing(100 * seed + number, tags).go_on_until, end)) for number in range(8)]
    paged, as_of, rounds, before = {}, None, 0, set()
    with Copy(live_server.url, client.token) as copy:
        while time.monotonic() < end:
            as_of = synced(client, paged, as_of)
            copy.run()
            if not before:  # however slow the machine is, one is deleted after it has been read
                Lead.objects.filter(pk=max(copy.rows)).delete()
            before |= copy.rows.keys()
            rounds += 1
        for writer in writers:
            writer.result(PATIENCE)
        time.sleep(0.01)
        synced(client, paged, as_of)
        copy.run()
        everything = {}
        synced(client, everything, None)
        assert copy.rows == everything
        assert {pk: paged[pk] for pk in everything} == everything
        assert before - everything.keys(), "some were deleted after they had been read"
        assert len({row["source"] for row in everything.values()}) < len(everything), "one stamp for many"
        assert "never" not in {row["source"] for row in everything.values()}
        assert rounds > 3


def test_autovacuum_does_not_hold_the_horizon_back():
    """It takes an id to give back a table's end, and keeps that while it waits for the table, five seconds long."""
    options = ("fsync=off", "autovacuum_naptime=1s", "autovacuum_vacuum_threshold=1")
    with postgresql(*options) as url, psycopg.connect(url, autocommit=True) as reader:
        reader.execute("CREATE TABLE emptied AS SELECT generate_series(1, 10000) AS id")
        with psycopg.connect(url) as holder:
            holder.execute("LOCK TABLE emptied IN ACCESS SHARE MODE")  # which needs no snapshot
            reader.execute("DELETE FROM emptied")
            since = wait_until(lambda: when_autovacuum_began(reader))
            horizon = reader.execute(f"SELECT {Horizon().as_sql(None, connection)[0]}").fetchone()[0]
            assert when_autovacuum_began(reader) == since
            assert horizon > since


def when_autovacuum_began(reader):
    query = """
        SELECT xact_start FROM pg_stat_activity
        WHERE backend_type = 'autovacuum worker' AND backend_xid IS NOT NULL AND query LIKE '%emptied%'
    """
    row = reader.execute(query).fetchone()
    return row and row[0]
