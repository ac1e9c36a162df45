"""What the tests that break things share: writers that go on whatever breaks, and the claims that hold afterwards.

Every committed event arrived at least once, nothing that was rolled back did, order per lead held, no row is stuck.
Duplicates are counted, and explained by each test.
"""

import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import requests
from django.db import Error, InterfaceError, connection

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead
from tests.processes import wait_until
from webhooks.models import Attempt, Delivery, EndpointState, Event, Webhook

SOON = "0,0.2,0.2,0.2,0.5,0.5,0.5,1,1,1,1,1,1"
"""A retry schedule for tests."""
AWAY = (Error, InterfaceError, requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
"""What a server that is killed costs its callers; the last one: between an answer's head and its body."""


@dataclass
class Arrived:
    """What a receiver got, request by request: path, event, delivery, sequence, lead and its version."""

    requests: list[tuple[str, str, int, int, int, int]]
    by_delivery: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.by_delivery.update(delivery for _, _, delivery, _, _, _ in self.requests)

    @classmethod
    def at(cls, *receivers) -> "Arrived":
        """Of either kind of receiver that tests have."""
        return cls(
            [
                (
                    received.path,
                    received.headers["webhook-id"],
                    int(received.headers["x-calliyo-delivery"]),
                    int(received.headers["x-calliyo-sequence"]),
                    (lead := json.loads(received.body)["data"]["lead"])["id"],
                    lead["version"],
                )
                for receiver in receivers
                for received in list(getattr(receiver, "requests", None) or receiver.received)
            ]
        )

    def events_at(self, path: str) -> set[str]:
        return {event for where, event, *_ in self.requests if where == path}

    def assert_in_order(self) -> None:
        """A lead's events come first in the order of the log; only what came before may come again."""
        seen: set[tuple[str, int]] = set()
        last: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for path, _, delivery, sequence, lead, version in self.requests:
            if (path, delivery) in seen:
                continue
            seen.add((path, delivery))
            assert last[path, lead] < (sequence, version) and last[path, lead][1] <= version
            last[path, lead] = (sequence, version)

    def unrecorded(self) -> int:
        """Requests that are in nobody's log: who sent them did not live to record them."""
        logged = Counter(Attempt.objects.values_list("delivery_id", flat=True))
        return sum(max(0, count - logged[delivery]) for delivery, count in self.by_delivery.items())


def nothing_waits() -> bool:
    return not Delivery.objects.filter(state="waiting").exists()


def assert_all_arrived(*receivers, webhooks: list[Webhook], seconds: float = 40.0) -> Arrived:
    """Waits until nothing waits any more; then the claims of this module's head, but for the duplicates."""
    wait_until(nothing_waits, seconds=seconds, every=0.1)
    wait_until(lambda: not EndpointState.objects.exclude(leased_until=None).exists(), seconds=15)
    arrived = Arrived.at(*receivers)
    committed = {event.public_id for event in Event.objects.only("uid")}
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    for webhook in webhooks:
        # The same set: each committed one came, and none that was rolled back.
        assert arrived.events_at("/" + webhook.url.split("/", 3)[3]) == committed
        numbers = Delivery.objects.filter(webhook=webhook).order_by("sequence")
        assert list(numbers.values_list("sequence", flat=True)) == list(range(1, len(committed) + 1))
    arrived.assert_in_order()
    return arrived


class Writers:
    """Threads that write until told to stop; what a server that is away costs them is forgiven."""

    def __init__(self, *works: Callable[[], None], pause: float = 0.02) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._pause = pause
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            while not self._stop.wait(self._pause):
                try:
                    work()
                except AWAY:
                    connection.close()
                    self._stop.wait(0.1)
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            self._errors.append(error)
        finally:
            connection.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        if self._errors:
            raise self._errors[0]


class Undone(Exception):
    """The writer thinks better of it."""


def changing(leads: list[Lead], seed: int) -> Callable[[], None]:
    """Changes one of the leads; every fourth change is rolled back."""
    chance = random.Random(seed)
    turns = iter(range(1, 1_000_000))

    def work() -> None:
        turn = next(turns)
        with suppress(Undone), unit_of_work():
            lead = Lead.objects.get(pk=chance.choice(leads).pk)
            lead.last_name = f"{seed}.{turn}"
            lead.save()
            if turn % 4 == 0:
                raise Undone

    return work
