"""`/public/events`: what a key may see, in the log's order, from any place, and nothing missed in between."""

import json
import threading
import time
from uuid import UUID, uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from apikeys.models import APIKey
from calliyo.unit_of_work import unit_of_work
from leads.models import ExternalId, Lead, Note
from tests.webhooks.engines import new_lead
from webhooks.delivery.sequence import give_positions
from webhooks.feed import page as feed_page
from webhooks.feed import waiting
from webhooks.feed.place import Place
from webhooks.feed.waiting import Watcher
from webhooks.models import Event, PrunedLog

pytestmark = pytest.mark.django_db

URL = "/public/events"


def note_on(lead: Lead, text: str = "Hello") -> Note:
    return Note.objects.create(lead=lead, text=text, author_type="user", author_id=7, author_name="Farheen")


def rename(lead: Lead, name: str) -> None:
    lead.last_name = name
    lead.save()


def walk(client, **query):
    """All pages from here on, as lists of events' ids."""
    pages = []
    while True:
        page = client.get(URL, query).json()
        pages.append([event["id"] for event in page["results"]])
        query["after"] = page["next_after"]
        if not page["more"]:
            return pages


def in_order() -> list[str]:
    return [event.public_id for event in Event.objects.order_by("position")]


def test_events_come_oldest_first_as_a_webhook_would_tell_them(client_with):
    client = client_with("leads:read", "users:read", "notes:read")
    lead = new_lead(1)
    rename(lead, "Rao")
    note_on(lead)
    page = client.get(URL).json()
    assert list(page) == ["results", "next_after", "more"]
    assert page["more"] is False
    assert [event["type"] for event in page["results"]] == ["lead.created", "lead.updated", "note.added"]
    assert page["results"] == [json.loads(event.payload) for event in Event.objects.order_by("id")]
    again = client.get(URL, {"after": page["next_after"]}).json()
    assert again == {"results": [], "next_after": page["next_after"], "more": False}


def test_an_empty_log_has_a_place_to_go_on_from(client_with):
    client = client_with("leads:read")
    empty = client.get(URL).json()
    assert (empty["results"], empty["more"]) == ([], False)
    new_lead(1)
    assert len(client.get(URL, {"after": empty["next_after"]}).json()["results"]) == 1
    assert len(client.get(f"{URL}/").json()["results"]) == 1


def test_a_walk_sees_every_event_once_and_goes_on_from_an_events_id(client_with):
    client = client_with("leads:read")
    for number in range(7):
        new_lead(number)
    pages = walk(client, limit=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [event for page in pages for event in page] == in_order()
    assert walk(client, limit=7) == [in_order()]
    assert walk(client, after=in_order()[4]) == [in_order()[5:]]


def test_after_latest_begins_now(client_with):
    client = client_with("leads:read")
    new_lead(1)
    latest = client.get(URL, {"after": "latest"}).json()
    assert (latest["results"], latest["more"]) == ([], False)
    new_lead(2)
    found = client.get(URL, {"after": latest["next_after"]}).json()["results"]
    assert [event["id"] for event in found] == in_order()[1:]


def test_a_key_sees_only_what_its_scopes_give_and_passes_the_rest(client_with):
    notes_only = client_with("notes:read")
    lead = new_lead(1)
    first = notes_only.get(URL).json()
    assert (first["results"], first["more"]) == ([], False)
    assert Place.spelled(first["next_after"]).position == 1
    note_on(lead)
    rename(lead, "Rao")
    second = notes_only.get(URL, {"after": first["next_after"]}).json()
    [event] = second["results"]
    assert event["data"]["lead"] == {"id": lead.pk}
    assert event["data"]["note"]["author"] == {"type": "user", "id": 7, "name": None}
    assert Place.spelled(second["next_after"]).position == 3


def test_a_lead_bears_the_readers_own_id(client_with):
    mine, other = client_with("leads:read"), client_with("leads:read")
    lead = new_lead(1)
    ExternalId.objects.create(lead=lead, api_key_id=mine.key.pk, value="CRM-7")
    assert mine.get(URL).json()["results"][0]["data"]["lead"]["external_id"] == "CRM-7"
    assert other.get(URL).json()["results"][0]["data"]["lead"]["external_id"] is None


def test_what_a_key_may_not_see_is_passed_in_windows_and_pages_say_there_is_more(client_with, monkeypatch):
    monkeypatch.setattr(feed_page, "WINDOW", 2)
    client = client_with("notes:read")
    lead = new_lead(1)
    for number in range(8):
        rename(lead, str(number))
    note_on(lead)
    assert [len(page) for page in walk(client)] == [1]
    monkeypatch.setattr(feed_page, "LONGEST", 0)
    assert client.get(URL).json()["more"] is True


def test_types_can_be_chosen_among_those_that_the_key_may_see(client_with):
    client = client_with("leads:read")
    lead = new_lead(1)
    rename(lead, "Rao")
    note_on(lead)
    only = client.get(URL, {"type": ["lead.updated", "lead.assigned"]}).json()["results"]
    assert [event["type"] for event in only] == ["lead.updated"]
    hidden = client.get(URL, {"type": "note.added"})
    assert (hidden.status_code, hidden.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="notes:read"' in hidden["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "201", "x", "-1", "٣")),
        *(("wait", value) for value in ("31", "-1", "1.5", "x", "", "٣")),
        *(("type", value) for value in ("lead.deleted", "")),
        *(("after", value) for value in ("", "x", "evt_", "evt_" + "0" * 31, "LATEST", "é", "MS4x", "7")),
        ("after", "evt_" + "0" * 32),
        ("after", "evt_9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"),
        ("after", "evt_019AB4F0C1D27E3F8A5B6C7D8E9F0A1B"),
        ("after", str(Place(99))),
        ("before", "now"),
    ],
)
def test_a_wrong_parameter_is_named(client_with, name, value):
    new_lead(1)
    answer = client_with("leads:read").get(URL, {name: value})
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [name]


def test_parameters_come_once(client_with):
    assert client_with("leads:read").get(URL, {"after": ["latest", "latest"]}).status_code == 400


# ── Pruned events ───────────────────────────────────────────────────────────────────────────────────────────


def prune_by_hand(*positions: int) -> list[UUID]:
    gone = Event.objects.filter(position__in=positions).order_by("position")
    uids = list(gone.values_list("uid", flat=True))
    PrunedLog.objects.update_or_create(
        id=1, defaults={"position": positions[-1], "uid": uids[-1], "highest_uid": max(uids)}
    )
    gone.delete()
    return uids


def test_a_place_is_expired_only_if_something_after_it_was_pruned(client_with):
    client = client_with("leads:read")
    for number in range(5):
        new_lead(number)
    ids = (client.get(URL), in_order())[1]
    places = [client.get(URL, {"after": event}).json()["next_after"] for event in ids[:1]]
    assert Place.spelled(places[0]).position == 5
    prune_by_hand(1, 2, 3)
    for expired in (str(Place(0)), str(Place(2)), ids[0], ids[1]):
        answer = client.get(URL, {"after": expired})
        assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired"), expired
    for good in (str(Place(3)), ids[2]):
        assert walk(client, after=good) == [ids[3:]]
    assert walk(client) == [ids[3:]]
    for never in (f"evt_{uuid7().hex}", f"evt_{uuid4().hex}"):
        assert client.get(URL, {"after": never}).status_code == 400


def test_a_walk_from_the_oldest_event_passes_what_was_pruned_behind_one_that_stayed(client_with):
    client = client_with("leads:read")
    for number in range(5):
        new_lead(number)
    client.get(URL)
    ids = in_order()
    prune_by_hand(1, 3, 4)
    assert walk(client, limit=1) == [[ids[1]], [ids[4]]]
    assert client.get(URL, {"after": ids[1]}).status_code == 410


def test_a_walk_from_the_oldest_event_is_told_of_what_is_pruned_meanwhile(client_with):
    client = client_with("leads:read")
    for number in range(5):
        new_lead(number)
    client.get(URL)
    prune_by_hand(1, 3)
    first = client.get(URL, {"limit": 1}).json()
    prune_by_hand(4)
    assert client.get(URL, {"after": first["next_after"]}).status_code == 410


def test_places_are_spelled_and_read_alike():
    for place in (Place(0), Place(1), Place(123, 456), Place(10**17)):
        assert Place.spelled(str(place)) == place
    assert Place.spelled(str(Place(7, 5))) == Place(7, 0)


# ── One event ───────────────────────────────────────────────────────────────────────────────────────────────


def test_one_event_by_its_id_with_an_etag(client_with):
    client = client_with("leads:read")
    lead = new_lead(1)
    note_on(lead)
    created, note = Event.objects.order_by("id")
    answer = client.get(f"{URL}/{created.public_id}")
    assert answer.json() == client.get(URL).json()["results"][0]
    assert client.get(f"{URL}/{created.public_id}", If_None_Match=answer["ETag"]).status_code == 304
    for hidden in (note.public_id, "1", f"evt_{uuid7().hex}", "evt_", "%00"):
        assert client.get(f"{URL}/{hidden}").status_code == 404
    assert client.get(f"{URL}/{created.public_id}", {"expand": "x"}).status_code == 400


# ── What it costs ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_takes_a_fixed_number_of_statements(client_with, django_assert_num_queries):
    client = client_with("leads:read")
    for number in range(5):
        new_lead(number)
    ids = (client.get(URL), in_order())[1]
    APIKey.objects.update(last_used_at=timezone.now())
    # The token; anything without a position?; the log's end; the page; the key's own ids; what was pruned.
    for limit in (1, 200):
        with django_assert_num_queries(6):
            client.get(URL, {"limit": limit, "after": str(Place(1))})
    with django_assert_num_queries(7):  # and the place of that event
        client.get(URL, {"after": ids[0]})
    with django_assert_num_queries(4):  # nothing is looked for behind the end
        client.get(URL, {"after": str(Place(5))})
    with django_assert_num_queries(3):
        client.get(f"{URL}/{ids[0]}")


# ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────


class InThread(threading.Thread):
    """A request of another thread, on a database connection of its own, as in a web server."""

    def __init__(self, client, **query) -> None:
        super().__init__()
        self._client, self._query = client, query
        self.start()

    def run(self) -> None:
        started = time.monotonic()
        try:
            self.answer = self._client.get(URL, self._query)
            self.connected = connection.connection is not None
        finally:
            self.took = time.monotonic() - started
            connection.close()

    def result(self):
        self.join(40)
        assert not self.is_alive()
        return self.answer


def waits(watcher: Watcher, count: int) -> None:
    deadline = time.monotonic() + 10
    while watcher._waiting != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_when_something_comes_that_the_key_may_see(client_with, watcher):
    client = client_with("notes:read", rate_limit=60)
    lead = new_lead(1)
    latest = client.get(URL, {"after": "latest"}).json()["next_after"]
    request = InThread(client, after=latest, wait="20")
    waits(watcher, 1)
    rename(lead, "Rao")
    time.sleep(0.5)
    assert request.is_alive()
    with unit_of_work():
        note_on(lead)
    answer = request.result()
    assert [event["type"] for event in answer.json()["results"]] == ["note.added"]
    assert request.took < 15
    assert "r=58;" in answer["RateLimit"]  # it counts once, however long it takes


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_without_anything_when_its_time_is_over(client_with, watcher):
    client = client_with("leads:read")
    request = InThread(client, wait="1")
    assert request.result().json()["results"] == []
    assert 1 <= request.took < 5


@pytest.mark.django_db(transaction=True)
def test_who_has_something_to_read_does_not_wait(client_with, watcher):
    client = client_with("leads:read")
    new_lead(1)
    request = InThread(client, wait="30")
    assert len(request.result().json()["results"]) == 1
    assert request.took < 5


@pytest.mark.django_db(transaction=True)
def test_two_waits_a_key_and_a_cap_a_process_the_others_are_answered_at_once(client_with, watcher):
    clients = [client_with("leads:read") for _ in range(3)]
    waiting = [InThread(client, wait="20") for client in clients[:2] for _ in range(2)]
    waits(watcher, 4)
    third_of_a_key, beyond_the_cap = InThread(clients[0], wait="20"), InThread(clients[2], wait="20")
    for request in (third_of_a_key, beyond_the_cap):
        assert request.result().json()["results"] == []
        assert request.took < 5
    new_lead(1)
    assert [len(request.result().json()["results"]) for request in waiting] == [1, 1, 1, 1]
    assert watcher._waiting == 0


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_deactivated_while_it_waits_gets_nothing(client_with, watcher):
    client = client_with("leads:read")
    request = InThread(client, wait="20")
    waits(watcher, 1)
    APIKey.objects.filter(pk=client.key.pk).update(active=False)
    new_lead(1)
    assert request.result().json()["results"] == []
    assert client.get(URL).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_answers_all_that_wait(client_with, watcher):
    request = InThread(client_with("leads:read"), wait="20")
    waits(watcher, 1)
    watcher.close()
    assert request.result().json() == {"results": [], "next_after": str(Place(0)), "more": False}
    assert request.took < 5


@pytest.mark.django_db(transaction=True)
def test_who_has_read_less_far_than_the_watcher_looked_back_reads_again():
    watcher = Watcher(per_process=4)
    new_lead(1)
    give_positions()
    assert not watcher.wait(key_id=1, types=["lead.created"], after=1, seconds=0.01)
    assert watcher.wait(key_id=2, types=["lead.created"], after=0, seconds=5)
    watcher.close()
    watcher.join()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_moment_is_looked_at_again(monkeypatch):
    watcher = Watcher(per_process=4)
    failures = iter([OperationalError("gone"), InterfaceError("closed")])

    def give_or_fail() -> int:
        error = next(failures, None)
        if error is not None:
            raise error
        return give_positions()

    monkeypatch.setattr(waiting, "give_positions", give_or_fail)
    monkeypatch.setattr(waiting, "AFTER_AN_ERROR", 0.05)
    new_lead(1)
    with capture_logs() as logs:
        assert watcher.wait(key_id=1, types=["lead.created"], after=0, seconds=10)
    assert [line["error"] for line in logs] == ["gone", "closed"]
    watcher.close()
    watcher.join()
    assert not watcher.wait(key_id=1, types=["lead.created"], after=0, seconds=10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.django_db(transaction=True)
def test_a_watcher_that_broke_off_is_started_anew(monkeypatch):
    watcher = Watcher(per_process=4)
    broken = threading.Event()

    def break_once() -> int:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a fault of ours")
        return give_positions()

    monkeypatch.setattr(waiting, "give_positions", break_once)
    new_lead(1)
    assert not watcher.wait(key_id=1, types=["lead.created"], after=0, seconds=0.3)
    assert watcher.wait(key_id=1, types=["lead.created"], after=0, seconds=10)
    watcher.close()
    watcher.join()
