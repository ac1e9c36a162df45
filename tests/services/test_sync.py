"""Incremental sync on PostgreSQL: who follows `updated_after` and `as_of` misses nothing that commits late."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead
from tests.clients import public_client
from tests.leads.factories import LeadFactory

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


def test_a_reader_beside_eight_writers_ends_with_every_rows_last_state(client):
    leads = [lead.pk for lead in LeadFactory.create_batch(40)]
    until = time.monotonic() + 4

    def write(seed):
        chance = random.Random(seed)
        while time.monotonic() < until:
            with unit_of_work():
                rows = chance.sample(leads, chance.choice([1, 2, 20]))
                Lead.objects.filter(pk__in=rows).update(source=f"{seed}-{chance.random()}")
                time.sleep(chance.choice([0, 0, 0.05, 0.3]))

    writers = [in_thread(lambda seed=seed: write(seed)) for seed in range(8)]
    kept, as_of, rounds = {}, None, 0
    while time.monotonic() < until:
        as_of = synced(client, kept, as_of)
        rounds += 1
    for writer in writers:
        writer.result(PATIENCE)
    time.sleep(0.01)
    synced(client, kept, as_of)
    assert {pk: row["source"] for pk, row in kept.items()} == dict(Lead.objects.values_list("pk", "source"))
    assert {pk: row["version"] for pk, row in kept.items()} == dict(Lead.objects.values_list("pk", "version"))
    assert rounds > 3
