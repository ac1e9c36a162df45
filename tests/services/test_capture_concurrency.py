"""Capture under real threads on real PostgreSQL: what is told is what was committed, in the order of the commits."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, LeadStatus, Tag, User
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 20


def in_threads(*functions: Callable[[], None]) -> None:
    """Runs them at once, each with a database connection of its own; raises what one raised."""

    def run(function: Callable[[], None]) -> None:
        try:
            function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(run, function) for function in functions]:
            future.result(PATIENCE * 3)


def bodies(lead: Lead) -> list[dict]:
    return [json.loads(event.payload) for event in Event.objects.filter(lead_id=lead.pk).order_by("id")]


@pytest.fixture
def lead() -> Lead:
    return Lead.objects.create(
        first_name="Asha", phone="+919800000001", status=LeadStatus.objects.get(role="unassigned")
    )


def test_a_lock_that_a_savepoint_gave_back_takes_its_picture_with_it(lead):
    rolled_back, changed = threading.Event(), threading.Event()

    def first() -> None:
        with unit_of_work():
            with pytest.raises(ZeroDivisionError):
                stumble()
            rolled_back.set()
            assert changed.wait(PATIENCE)
            Lead.objects.filter(pk=lead.pk).update(source="web")

    @transaction.atomic
    def stumble() -> None:
        Lead.objects.filter(pk=lead.pk).update(last_name="never")
        raise ZeroDivisionError

    def second() -> None:
        assert rolled_back.wait(PATIENCE)
        Lead.objects.filter(pk=lead.pk).update(last_name="Rao")
        changed.set()

    in_threads(first, second)
    assert [body["data"]["changes"] for body in bodies(lead)[1:]] == [
        {"last_name": {"from": "", "to": "Rao"}},
        {"source": {"from": "", "to": "web"}},
    ]


def test_tags_that_a_rival_set_while_we_waited_for_the_lock_are_not_told_again(lead):
    hot, cold = Tag.objects.create(name="hot"), Tag.objects.create(name="cold")
    locked = threading.Event()

    def first() -> None:
        with unit_of_work():
            lead.tags.add(hot)
            locked.set()
            wait_until_somebody_waits_for_a_lock()

    def second() -> None:
        assert locked.wait(PATIENCE)
        lead.tags.add(cold)

    in_threads(first, second)
    assert [body["data"]["changes"]["tags"] for body in bodies(lead)[1:]] == [
        {"from": [], "to": ["hot"]},
        {"from": ["hot"], "to": ["cold", "hot"]},
    ]


def wait_until_somebody_waits_for_a_lock() -> None:
    with connection.cursor() as cursor:
        for _ in range(PATIENCE * 100):
            cursor.execute("SELECT count(*), pg_sleep(0.01) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("Nobody waited.")


def test_an_upsert_by_many_at_once_tells_each_lead_new_once():
    status = LeadStatus.objects.get(role="unassigned")
    phones = [f"+91980000{number:04}" for number in range(20)]

    def upsert(name: str) -> Callable[[], None]:
        def run() -> None:
            rows = [Lead(first_name=name, phone=phone, status=status) for phone in phones]
            random.Random(name).shuffle(rows)
            Lead.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["phone"], update_fields=["first_name"]
            )

        return run

    in_threads(*(upsert(name) for name in "ABCD"))
    assert Event.objects.filter(type="lead.created").count() == len(phones)
    for lead in Lead.objects.all():
        check_chain(lead)


class Writer:
    """Writes at random to some leads, by itself and in units of several writes of which some are rolled back."""

    def __init__(self, seed: int, leads: list[Lead], tags: list[Tag], owners: list[User]) -> None:
        self.chance = random.Random(seed)
        self.leads, self.tags, self.owners = leads, tags, owners
        self.statuses = list(LeadStatus.objects.all())

    def __call__(self) -> None:
        for _ in range(15):
            # Two may get in each other's way: then the one is rolled back whole, as if it had not been.
            with suppress_deadlock():
                self.several() if self.chance.random() < 0.4 else self.write()

    @unit_of_work
    def several(self) -> None:
        for _ in range(3):
            with suppress(ZeroDivisionError), transaction.atomic():
                self.write()
                self.stumble()

    def stumble(self) -> None:
        if self.chance.random() < 0.3:
            raise ZeroDivisionError

    def write(self) -> None:
        lead = Lead.objects.get(pk=self.chance.choice(self.leads).pk)
        self.chance.choice([self.save, self.update, self.set_tags, self.tag_leads, self.bulk_update])(lead)

    def save(self, lead: Lead) -> None:
        lead.last_name, lead.status = str(self.chance.random()), self.chance.choice(self.statuses)
        lead.save()

    def update(self, lead: Lead) -> None:
        Lead.objects.filter(status=self.chance.choice(self.statuses)).update(
            owner=self.chance.choice([None, *self.owners])
        )

    def set_tags(self, lead: Lead) -> None:
        lead.tags.set(self.chance.sample(self.tags, self.chance.randrange(3)))

    def tag_leads(self, lead: Lead) -> None:
        self.chance.choice(self.tags).leads.add(*self.chance.sample(self.leads, 2))

    def bulk_update(self, lead: Lead) -> None:
        lead.source = str(self.chance.random())
        Lead.objects.bulk_update([lead], ["source"])


@contextmanager
def suppress_deadlock() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected):
            raise


def test_the_events_of_many_writers_tell_each_leads_whole_story(lead):
    """Each event begins where the one before it ended, and the last ends at what the row says."""
    leads = [lead] + [
        Lead.objects.create(first_name=f"L{n}", phone=f"+91980000001{n}", status=lead.status)
        for n in range(2)
    ]
    tags = [Tag.objects.create(name=name) for name in ("hot", "cold", "vip")]
    owners = [User.objects.create(username=name, name=name) for name in ("ravi", "meena")]
    in_threads(*(Writer(seed, leads, tags, owners) for seed in range(8)))
    for one in leads:
        assert len(bodies(one)) > 10
        check_chain(one)


def check_chain(lead: Lead) -> None:
    told = bodies(lead)
    assert [body["type"] for body in told].count("lead.created") == 1
    picture, version = told[0]["data"]["lead"], 0
    for body in told:
        assert body["data"]["lead"]["version"] >= version
        version = body["data"]["lead"]["version"]
        if body["type"] == "lead.updated":
            for name, change in body["data"]["changes"].items():
                assert picture[name] == change["from"], body
                picture[name] = change["to"]
    lead.refresh_from_db()
    assert picture["last_name"] == lead.last_name and picture["source"] == lead.source
    assert picture["first_name"] == lead.first_name
    assert picture["status"] == {"id": lead.status_id, "name": lead.status.name}
    assert picture["owner_id"] == lead.owner_id
    assert sorted(picture["tags"]) == sorted(lead.tags.values_list("name", flat=True))
