"""Delivery with real worker processes on PostgreSQL and Redis: what is committed arrives, whatever dies."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection
from standardwebhooks.webhooks import Webhook as Verifier

from tests.processes import Answer, environment_of_processes, start_process, stop_all, wait_until
from tests.servers import free_port, redis
from tests.webhooks.engines import new_key, new_lead, new_webhook, states
from webhooks.models import Attempt, Delivery, EndpointState
from webhooks.operations import reveal_secret

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

LEASE_TAKEOVER = 10.0


def all_settled() -> bool:
    return not Delivery.objects.filter(state="waiting").exists()


def duplicates(receiver) -> int:
    """Requests beyond the first of each delivery."""
    seen = Counter(received.headers["x-calliyo-delivery"] for received in receiver.requests)
    return sum(count - 1 for count in seen.values())


def test_a_committed_lead_arrives_signed_within_a_second(celery_worker, receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    secret = reveal_secret(webhook)
    new_lead(1)  # the first one opens connections and imports; a person does not wait for it either
    receiver.wait_for(1)
    for number in range(2, 7):
        before = time.time()
        lead = new_lead(number)
        received = receiver.wait_for(number)[-1]
        assert received.at - before < 1.0
        body = Verifier(secret).verify(received.body, received.headers)
        assert body["data"]["lead"]["id"] == lead.pk
    wait_until(all_settled)
    assert states(webhook) == ["delivered"] * 6 and duplicates(receiver) == 0
    assert list(Attempt.objects.values_list("status", flat=True)) == [200] * 6


def test_what_a_killed_worker_had_under_way_arrives_with_the_same_bytes(start_worker, receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    receiver.answer_next(Answer(delay=3.0))
    worker = start_worker()
    new_lead(1)
    receiver.wait_for(1)
    worker.kill()
    killed_at = time.time()
    new_lead(2)
    start_worker()
    received = receiver.wait_for(3)
    assert received[-1].at - killed_at < LEASE_TAKEOVER + 5.0  # a lease's rest, and the new worker's start
    wait_until(all_settled)
    by_id: dict[str, set[bytes]] = {}
    for each in received:
        by_id.setdefault(each.headers["webhook-id"], set()).add(each.body)
        Verifier(reveal_secret(webhook)).verify(each.body, each.headers)
    assert [len(bodies) for bodies in by_id.values()] == [1, 1]
    assert states(webhook) == ["delivered", "delivered"] and duplicates(receiver) == 1


def test_while_a_worker_lives_it_takes_over_from_a_killed_one_within_ten_seconds(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    receiver.answer_by(lambda received: Answer(delay=30.0 if len(receiver.requests) == 1 else 0.0))
    first = start_worker()
    new_lead(1)
    receiver.wait_for(1)
    start_worker()
    time.sleep(1.0)
    first.kill()
    killed_at = time.time()
    assert receiver.wait_for(2, seconds=LEASE_TAKEOVER + 2)[-1].at - killed_at < LEASE_TAKEOVER + 0.5
    wait_until(all_settled)
    assert states(webhook) == ["delivered"] and EndpointState.objects.get().lease_number == 2


def test_a_broker_that_is_gone_costs_only_the_wait_for_the_sweep(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    with redis() as url:
        worker = start_worker(CALLIYO_TESTS_REDIS=url)  # the tests' settings take the broker from there
    for number in range(5):
        before = time.time()
        new_lead(number)
        assert receiver.wait_for(number + 1, seconds=6)[-1].at - before < 4.0
    wait_until(all_settled)
    assert states(webhook) == ["delivered"] * 5 and worker.popen.poll() is None


def test_a_database_that_drops_its_connections_is_come_back_to(celery_worker, receiver):
    webhook = new_webhook(receiver.url)
    for number in range(3):
        new_lead(number)
        receiver.wait_for(number + 1)
        wait_until(all_settled)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    new_lead(9)
    receiver.wait_for(4, seconds=10)
    wait_until(all_settled)
    assert states(webhook) == ["delivered"] * 4


def test_what_is_under_way_while_the_database_is_away_is_recorded_when_it_is_back(celery_worker, receiver):
    webhook = new_webhook(receiver.url)
    receiver.answer_by(lambda _: Answer(delay=1.0))
    new_lead(1)
    receiver.wait_for(1)
    with database_away():
        time.sleep(3.0)
    new_lead(2)
    receiver.wait_for(2, seconds=10)
    wait_until(all_settled)
    assert states(webhook) == ["delivered", "delivered"] and duplicates(receiver) == 0


def test_two_workers_lose_nothing_and_send_nothing_twice(start_worker, receiver):
    hooks = [new_webhook(f"{receiver.url}/{n}", key=new_key(f"Key {n}")) for n in range(4)]
    start_worker(), start_worker()
    for number in range(60):
        lead = new_lead(number)
        lead.last_name = "Rao"
        lead.save()
    wait_until(all_settled)
    assert len(receiver.requests) == 480 and duplicates(receiver) == 0
    assert_order_per_lead(receiver)
    for hook in hooks:
        numbers = (
            Delivery.objects.filter(webhook=hook).order_by("sequence").values_list("sequence", flat=True)
        )
        assert list(numbers) == list(range(1, 121))


def test_workers_killed_in_a_loop_lose_nothing(start_worker, receiver):
    """At least once: duplicates are what was under way at a kill, and no more than that."""
    hooks = [new_webhook(f"{receiver.url}/{n}", key=new_key(f"Key {n}")) for n in range(2)]
    receiver.answer_by(lambda _: Answer(delay=0.02))
    stop = threading.Event()

    def write() -> None:
        try:
            for number in range(150):
                new_lead(number)
                stop.wait(0.03)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        worker = start_worker()
        time.sleep(1.5)
        worker.kill()
    start_worker()
    writer.join()
    wait_until(all_settled, seconds=40)
    for hook in hooks:
        assert states(hook) == ["delivered"] * 150
    arrived = {
        (received.path, json.loads(received.body)["data"]["lead"]["id"]) for received in receiver.requests
    }
    assert len(arrived) == 300
    assert duplicates(receiver) <= 3 * 2 * 100  # a kill may lose the record of a run of each webhook


def test_a_stopped_worker_records_what_is_under_way_and_gives_its_leases_back(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    receiver.answer_by(lambda _: Answer(delay=1.0))
    worker = start_worker()
    new_lead(1)
    receiver.wait_for(1)
    assert worker.stop() == 0
    assert states(webhook) == ["delivered"]
    assert EndpointState.objects.get().leased_until is None


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_the_other_pools_deliver_as_well(pool, tmp_path, receiver):
    webhook = new_webhook(receiver.url)
    worker = start_process(
        "celery", "--app", "calliyo.celery", "worker", "--pool", pool, "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--hostname", f"{pool}-{free_port()}@test",
        log=tmp_path / "worker.log", environment=environment_of_processes(),
    )  # fmt: skip
    try:
        worker.wait_for_output("worker.ready")
        new_lead(1)
        receiver.wait_for(1)
        before = time.time()
        new_lead(2)
        assert receiver.wait_for(2)[-1].at - before < 1.0
        assert worker.stop() == 0
    finally:
        stop_all([worker])
    assert states(webhook) == ["delivered", "delivered"]


@contextmanager
def database_away():
    """Nobody is connected, and nobody gets in, as while the server starts again."""
    name, place = connection.settings_dict["NAME"], connection.settings_dict
    connection.close()
    server = psycopg.connect(
        host=place["HOST"], port=place["PORT"], user=place["USER"], dbname="postgres", autocommit=True
    )
    with server:
        server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        try:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


def assert_order_per_lead(receiver) -> None:
    seen: dict[tuple[str, int], int] = {}
    for received in receiver.requests:
        lead = json.loads(received.body)["data"]["lead"]
        place = (received.path, lead["id"])
        assert seen.get(place, 0) <= lead["version"]
        seen[place] = lead["version"]
