"""The catch-up log on real PostgreSQL connections: late commits, many writers, pruning meanwhile, a real web server."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from django.db import connection, transaction

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, Note
from tests.clients import public_client
from tests.processes import wait_until
from tests.services.test_sequence import Elsewhere
from tests.webhooks.engines import new_lead
from webhooks.models import Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

URL = "/public/events"


def follow(client: Any, after: str | None, done: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Every event behind `after`, page by page, until `done` said so before a page that was empty."""
    while True:
        last_time = done()
        page = client.get(URL, {"limit": 7} | ({"after": after} if after else {})).json()
        yield from page["results"]
        after = page["next_after"]
        if last_time and not page["more"]:
            return


def test_a_transaction_that_commits_late_is_not_skipped_by_a_reader_who_is_past_its_id():
    client = public_client("leads:read")
    written, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            new_lead(1)
            written.set()
            assert may_commit.wait(20)

    thread = Elsewhere(late)
    assert written.wait(20)
    prompt = new_lead(2)
    page = client.get(URL).json()
    assert [event["data"]["lead"]["id"] for event in page["results"]] == [prompt.pk]
    may_commit.set()
    thread.result()
    [event] = client.get(URL, {"after": page["next_after"]}).json()["results"]
    late_row, prompt_row = Event.objects.order_by("id")
    assert (event["id"], late_row.lead_id) == (late_row.public_id, event["data"]["lead"]["id"])
    assert late_row.pk < prompt_row.pk and late_row.position > prompt_row.position
    # Who goes on from the prompt event's id gets the late one too.
    assert client.get(URL, {"after": prompt_row.public_id}).json()["results"] == [event]


class Writer:
    """Changes some leads, by itself and in units of several changes; some are rolled back, some commit late."""

    def __init__(self, number: int, leads: list[int]) -> None:
        self.number, self.leads = number, leads

    def __call__(self) -> None:
        for turn in range(25):
            lead = self.leads[(self.number + turn) % len(self.leads)]
            self._rolled_back(lead) if turn % 5 == 4 else self._written(lead, turn)

    @unit_of_work
    def _written(self, lead: int, turn: int) -> None:
        one = Lead.objects.get(pk=lead)
        one.last_name = f"{self.number}.{turn}"
        one.save()
        if turn % 3 == 0:
            Note.objects.create(lead=one, text=f"{self.number}.{turn}", author_type="system", author_name="x")
            time.sleep(0.005)

    def _rolled_back(self, lead: int) -> None:
        with pytest.raises(ZeroDivisionError), unit_of_work():
            Lead.objects.filter(pk=lead).update(last_name="never")
            raise ZeroDivisionError


def test_with_eight_writers_a_reader_gets_every_event_once_and_each_leads_in_order():
    client = public_client("leads:read", "notes:read", "users:read")
    start = client.get(URL, {"after": "latest"}).json()["next_after"]
    leads = [new_lead(number).pk for number in range(5)]
    writers: list[Elsewhere] = []
    readers_finished: list[list[dict[str, Any]]] = []

    def all_written() -> bool:
        return bool(writers) and not any(writer.is_alive() for writer in writers)

    def read() -> None:
        readers_finished.append(list(follow(client, start, all_written)))

    readers = [Elsewhere(read) for _ in range(2)]
    writers += [Elsewhere(Writer(number, leads)) for number in range(8)]
    for thread in (*writers, *readers):
        thread.join(60)
        thread.result()
    committed = list(Event.objects.order_by("id"))
    assert len(committed) > 8 * 20 + 5
    assert len(readers_finished) == 2
    for got in readers_finished:
        assert Counter(event["id"] for event in got) == Counter(event.public_id for event in committed)
        assert not [event for event in got if "never" in json.dumps(event)]
        by_id = {event.public_id: event for event in committed}
        for lead in leads:
            of_lead = [event for event in got if by_id[event["id"]].lead_id == lead]
            ids = [by_id[event["id"]].pk for event in of_lead]
            assert ids == sorted(ids)
            assert_each_change_begins_where_the_last_ended(of_lead)


def assert_each_change_begins_where_the_last_ended(events: list[dict[str, Any]]) -> None:
    name = ""
    for event in events:
        if event["type"] == "lead.updated":
            assert event["data"]["changes"]["last_name"]["from"] == name
            name = event["data"]["changes"]["last_name"]["to"]


def test_a_waiting_request_holds_no_database_connection_and_ends_when_the_server_does(start_web):
    web = start_web()
    client = public_client("leads:read")
    answers: list[tuple[float, dict[str, Any]]] = []

    def ask() -> None:
        answer = requests.get(
            f"{web.address}{URL}?after=latest&wait=30",
            headers={"Authorization": f"Bearer {client.token}"},
            timeout=60,
        )
        answers.append((time.monotonic(), answer.json()))

    waiting = [Elsewhere(ask) for _ in range(2)]
    # Ours, and the one of the thread that looks for all.
    wait_until(lambda: web_connections() == 1 and all(thread.is_alive() for thread in waiting))
    time.sleep(1)
    assert web_connections() == 1 and not answers
    committed_at = time.monotonic()
    new_lead(1)
    for thread in waiting:
        thread.result()
    assert all(answered - committed_at < 2 for answered, _ in answers)
    assert [len(body["results"]) for _, body in answers] == [1, 1]
    another = Elsewhere(ask)
    time.sleep(1)
    before = time.monotonic()
    web.stop()
    another.result()
    assert answers[2][1]["results"] == []
    assert time.monotonic() - before < 10


def web_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        (count,) = cursor.fetchone()
    return int(count)
