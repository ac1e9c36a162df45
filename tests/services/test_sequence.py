"""Positions and sequence numbers on real PostgreSQL connections: late commits, and two sequencers at once."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from leads.models import Lead
from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.delivery.lease import take_leases
from webhooks.delivery.sequence import give_positions, latest_position, number_deliveries
from webhooks.models import Delivery, Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


class Elsewhere(threading.Thread):
    """Does something on a connection of its own; what goes wrong there fails the test."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            self._error = error
        finally:
            connection.close()

    def result(self) -> None:
        self.join(20)
        assert not self.is_alive()
        if self._error:
            raise self._error


def log() -> list[int]:
    """Events' ids in the order of their positions."""
    return list(Event.objects.exclude(position=None).order_by("position").values_list("id", flat=True))


def test_a_transaction_that_commits_late_comes_later_and_is_never_skipped():
    webhook = new_webhook("http://127.0.0.1:9/")
    written, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            new_lead(1)
            written.set()
            assert may_commit.wait(20)

    thread = Elsewhere(late)
    assert written.wait(20)
    new_lead(2)
    take_leases([webhook.pk], holder="me")
    assert give_positions() == 1 and number_deliveries([webhook.pk]) == 1
    reader_is_at = latest_position()
    may_commit.set()
    thread.result()
    assert give_positions() == 1 and number_deliveries([webhook.pk]) == 1
    late_event = Event.objects.get(position__gt=reader_is_at)
    assert late_event.pk == min(log())  # its id was drawn first, its place in the log is last
    assert list(Delivery.objects.order_by("sequence").values_list("event_id", "sequence")) == [
        (max(log()), 1),
        (late_event.pk, 2),
    ]


def test_two_changes_of_one_lead_never_come_inverted_and_sequencers_give_no_number_twice():
    webhooks = [new_webhook("http://127.0.0.1:9/", key=new_key(f"Key {n}")) for n in range(2)]
    ids = [webhook.pk for webhook in webhooks]
    take_leases(ids, holder="me")
    leads = [new_lead(number).pk for number in range(4)]
    done = threading.Event()

    def write(start: int) -> Callable[[], None]:
        def work() -> None:
            for turn in range(15):
                lead = Lead.objects.get(pk=leads[(start + turn) % len(leads)])
                lead.last_name = f"{start}.{turn}"
                lead.save()

        return work

    def sequence() -> None:
        while not done.is_set():
            give_positions()
            number_deliveries(ids)

    writers = [Elsewhere(write(start)) for start in range(3)]
    sequencers = [Elsewhere(sequence) for _ in range(2)]
    for writer in writers:
        writer.result()
    done.set()
    for sequencer in sequencers:
        sequencer.result()
    give_positions()
    number_deliveries(ids)
    assert list(Event.objects.order_by("position").values_list("position", flat=True)) == list(range(1, 50))
    assert_in_order_for_each_lead(log(), dict(Event.objects.values_list("id", "lead_id")))
    for webhook_id in ids:
        numbered = Delivery.objects.filter(webhook_id=webhook_id).order_by("sequence")
        assert list(numbered.values_list("sequence", flat=True)) == list(range(1, 50))
        by_number = list(numbered.values_list("event_id", flat=True))
        assert_in_order_for_each_lead(by_number, dict(Event.objects.values_list("id", "lead_id")))


def assert_in_order_for_each_lead(event_ids: list[int], lead_of: dict[int, int]) -> None:
    for lead in set(lead_of.values()):
        of_lead = [event for event in event_ids if lead_of[event] == lead]
        assert of_lead == sorted(of_lead)


def test_the_indexes_of_what_waits_are_vacuumed_long_before_a_fifth_of_a_long_history_has_changed():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relname IN ('webhooks_delivery', 'webhooks_event')"
        )
        options = dict(cursor.fetchall())
    for table in ("webhooks_delivery", "webhooks_event"):
        assert set(options[table]) == {
            "autovacuum_vacuum_scale_factor=0.03",
            "autovacuum_vacuum_threshold=5000",
        }
