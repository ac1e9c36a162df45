"""The engine shown by breaking what is around it: processes, broker, database, receivers.

After each: every committed event arrived at least once, nothing that was rolled back did, order per lead held, no row
is stuck, and duplicates are counted and explained: requests whose outcome nobody lived to record.
"""

import json
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, LeadStatus
from tests.clients import public_client
from tests.processes import Answer, wait_until
from tests.servers import mortal_postgresql, mortal_redis
from tests.services.breaking import SOON, Undone, Writers, assert_all_arrived, changing
from tests.webhooks.engines import new_key, new_lead, new_webhook
from tests.webhooks.receiver import answer, raw, running_receiver
from webhooks.models import Attempt, Delivery, Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


def test_two_workers_killed_in_turn_while_leads_change_lose_nothing(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    leads = [new_lead(number) for number in range(6)]
    workers = [start_worker(), start_worker()]
    writers = Writers(changing(leads, 1), changing(leads, 2))
    kills = 4
    for turn in range(kills):
        time.sleep(1.2)
        workers[turn % 2].kill()
        workers[turn % 2] = start_worker()
    writers.stop()
    arrived = assert_all_arrived(receiver, webhooks=[webhook])
    again = len(arrived.requests) - len(arrived.by_delivery)
    # Whatever came twice was sent by one who did not live to record it; and that is at most a run of each kill.
    assert again == arrived.unrecorded() <= kills * 500


def test_web_processes_killed_in_the_middle_of_requests_lose_nothing_that_they_answered(
    start_web, celery_worker, receiver
):
    webhook = new_webhook(receiver.url)
    LeadStatus.objects.get_or_create(role="unassigned", defaults={"name": "Unassigned"})
    token = public_client("leads:read", "leads:write", rate_limit=0).token
    place = {"web": start_web()}
    answered: list[int] = []
    numbers = iter(range(1, 1_000_000))

    def post() -> None:
        response = requests.post(
            f"{place['web'].address}/public/leads",
            json={"first_name": "Asha", "phone": f"+9198100{next(numbers):05d}"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=5,
        )
        if response.status_code == 201:
            answered.append(response.json()["id"])

    writers = Writers(*[post] * 4, pause=0.001)
    for _ in range(3):
        so_far = len(answered)
        wait_until(lambda before=so_far: len(answered) > before + 10)
        place["web"].kill()
        place["web"] = start_web()
    wait_until(lambda: len(answered) > 60)
    writers.stop()
    arrived = assert_all_arrived(receiver, webhooks=[webhook])
    told = {lead for _, _, _, _, lead, _ in arrived.requests}
    assert set(answered) <= told == set(Lead.objects.values_list("pk", flat=True))
    assert len(arrived.requests) == len(arrived.by_delivery)  # no worker died, so nothing came twice


def test_a_redis_that_is_killed_and_comes_back_empty_costs_nothing_but_the_wait_for_a_sweep(
    start_worker, start_web, receiver
):
    """Two workers then sweep at once: nothing comes twice."""
    webhook = new_webhook(receiver.url)
    LeadStatus.objects.get_or_create(role="unassigned", defaults={"name": "Unassigned"})
    token = public_client("leads:read", "leads:write", rate_limit=0).token
    with mortal_redis() as redis:
        workers = [start_worker(CALLIYO_TESTS_REDIS=redis.url) for _ in range(2)]
        web = start_web(CALLIYO_TESTS_REDIS=redis.url)

        def write(first: int) -> None:
            for number in range(first, first + 15):
                response = requests.post(
                    f"{web.address}/public/leads",
                    json={"first_name": "Asha", "phone": f"+9198200{number:05d}"},
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=10,
                )
                assert response.status_code == 201

        write(0)
        redis.crash()
        write(100)
        receiver.wait_for(30, seconds=6)  # by the sweeps
        redis.start()
        write(200)
        receiver.wait_for(45, seconds=6)
        arrived = assert_all_arrived(receiver, webhooks=[webhook])
        assert [worker.popen.poll() for worker in workers] == [None, None]
    assert len(arrived.requests) == len(arrived.by_delivery) == 45


@contextmanager
def database_of_its_own():
    """This process, and those that it starts, use a PostgreSQL that may be crashed."""
    place = connection.settings_dict
    usual = dict(place)
    connection.close()
    with mortal_postgresql("fsync=off") as server:
        place.update(NAME="postgres", HOST="127.0.0.1", PORT=server.port, USER="calliyo", PASSWORD="")
        try:
            call_command("migrate", interactive=False, verbosity=0)
            yield server
        finally:
            connection.close()
            place.update(usual)


def test_a_postgresql_that_crashes_and_starts_again_loses_nothing(start_worker, receiver):
    with database_of_its_own() as postgresql:
        webhook = new_webhook(receiver.url)
        leads = [new_lead(number) for number in range(6)]
        worker = start_worker()
        writers = Writers(changing(leads, 1), changing(leads, 2))
        crashes = 3
        for _ in range(crashes):
            time.sleep(1.5)
            postgresql.crash()
            time.sleep(0.5)
            postgresql.start()
        time.sleep(1.0)
        writers.stop()
        connection.close()
        arrived = assert_all_arrived(receiver, webhooks=[webhook])
        assert worker.popen.poll() is None
        again = len(arrived.requests) - len(arrived.by_delivery)
        assert again <= arrived.unrecorded() + crashes * 500
        worker.stop()


def test_a_receiver_that_misbehaves_in_every_way_gets_everything_in_order(start_worker):
    """Hangs, drips, resets, closes a kept-alive connection without a word, and talks garbage, all in turn."""
    with running_receiver() as receiver:
        webhook = new_webhook(receiver.url)
        start_worker(CALLIYO_WEBHOOK_TIMEOUT="1", CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON)

        def answer_and_close(sock, received) -> bool:
            answer()(sock, received)
            return False

        good = [answer()] * 3
        receiver.script = [
            *(
                *good,
                receiver.hang,
                *good,
                receiver.drip,
                *good,
                receiver.close_silently,
                *good,
                receiver.reset,
            ),
            *(*good, raw(b"SSH-2.0-OpenSSH\r\n"), *good, answer(500), *good, answer_and_close),
            *(*good, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), *good, answer(302), *good),
            *(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), *good, answer_and_close),
        ]
        receiver.script *= 2
        leads = [new_lead(number) for number in range(6)]
        writers = Writers(changing(leads, 1), changing(leads, 2))
        wait_until(lambda: not receiver.script, seconds=40)
        writers.stop()
        arrived = assert_all_arrived(receiver, webhooks=[webhook])
        again = len(arrived.requests) - len(arrived.by_delivery)
        failed = Attempt.objects.exclude(error="").count()
        # Each that came again had failed before, or had come over a connection that was closed in its face.
        assert again == failed + arrived.unrecorded() and arrived.unrecorded() <= receiver.connections
        codes = set(Attempt.objects.exclude(error="").values_list("error_code", flat=True))
        assert {"timed_out", "answer_broken", "status", "redirect"} <= codes


def test_after_ten_seconds_of_500_everything_comes_in_order(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    until = time.time() + 10
    receiver.answer_by(lambda received: Answer(status=500 if received.at < until else 200))
    start_worker(CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON)
    leads = [new_lead(number) for number in range(6)]
    writers = Writers(changing(leads, 1))
    time.sleep(3)
    writers.stop()
    arrived = assert_all_arrived(receiver, webhooks=[webhook], seconds=60)
    assert len(arrived.requests) - len(arrived.by_delivery) == Attempt.objects.exclude(error="").count()


def test_ten_thousand_events_of_eight_writers_at_once_arrive_in_order(start_worker):
    writers, units, rows, kept = 8, 13, 100, 12.5
    with running_receiver() as receiver:
        webhook = new_webhook(receiver.url)
        other = new_webhook(f"{receiver.url}/other", key=new_key("Looker"), events=["lead.converted"])
        status, _ = LeadStatus.objects.get_or_create(role="unassigned", defaults={"name": "Unassigned"})
        start_worker(), start_worker()
        errors: list[BaseException] = []

        def write(writer: int) -> None:
            try:
                for unit in range(units):
                    count = rows if unit < units - 1 else rows // 2
                    write_unit(writer, unit, count)
            except BaseException as error:  # noqa: BLE001 (raised again below)
                errors.append(error)
            finally:
                connection.close()

        def write_unit(writer: int, unit: int, count: int) -> None:
            first = (writer * units + unit) * rows
            made = [
                Lead(first_name="Asha", phone=f"+9197{first + row:08d}", status=status)
                for row in range(count // 2)
            ]
            with unit_of_work():
                Lead.objects.bulk_create(made)
            for lead in made:
                lead.last_name = f"Rao {unit}"
            with unit_of_work():
                Lead.objects.bulk_update(made, ["last_name"])
            with suppress(Undone), unit_of_work():
                Lead.objects.filter(pk__in=[lead.pk for lead in made]).update(last_name="never")
                raise Undone

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert Event.objects.count() == writers * rows * kept
        arrived = assert_all_arrived(receiver, webhooks=[webhook], seconds=60)
        assert len(arrived.requests) == len(arrived.by_delivery) == 10_000
        assert not Delivery.objects.filter(webhook=other).exists()
        assert "never" not in {
            json.loads(each.body)["data"]["lead"]["last_name"] for each in receiver.received
        }
