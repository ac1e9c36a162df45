"""A clock is stepped under real workers: nothing is lost, stuck, out of order, or sent twice for it.

The database's: a `clock_timestamp()` of the tests' own stands before PostgreSQL's in the path, and nobody else's is
touched. A worker's own: `stepped_worker`, and the database's stays right.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from standardwebhooks.webhooks import Webhook as Verifier

from tests.processes import Answer, Received, environment_of_processes, start_process, stop_all, wait_until
from tests.servers import free_port
from tests.services.breaking import SOON, Writers, assert_all_arrived, changing, nothing_waits
from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.delivery.clock import database_now
from webhooks.delivery.engine import SWEEP_SECONDS
from webhooks.models import Attempt, Delivery, EndpointState
from webhooks.operations import reveal_secret

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

HOUR = 3600.0
_CLOCKS = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")


@contextmanager
def steppable_clock() -> Iterator[Callable[[float], None]]:
    """Gives what steps the clock of this database by so many seconds, for all that connect from now on."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE SCHEMA stepped; CREATE TABLE stepped.by (seconds float8); INSERT INTO stepped.by VALUES (0)"
        )
        for clock in _CLOCKS:
            cursor.execute(
                f"CREATE FUNCTION stepped.{clock}() RETURNS timestamptz LANGUAGE sql VOLATILE AS"  # noqa: S608  # no value
                f" 'SELECT pg_catalog.{clock}() + make_interval(secs => (SELECT seconds FROM stepped.by))'"
            )
        cursor.execute(f'ALTER DATABASE "{name}" SET search_path = stepped, pg_catalog, public')
    connection.close()

    def step(seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE stepped.by SET seconds = seconds + %s", [seconds])

    try:
        yield step
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET search_path')
            cursor.execute("DROP SCHEMA stepped CASCADE")
        connection.close()


def test_a_clock_that_is_stepped_to_and_fro_while_leads_change_loses_nothing(start_worker, receiver):
    with steppable_clock() as step:
        webhook = new_webhook(receiver.url)
        # Every ninth request fails, so that retries wait on either side of each step.
        receiver.answer_by(lambda _: Answer(status=500 if len(receiver.requests) % 9 == 0 else 200))
        leads = [new_lead(number) for number in range(6)]
        workers = [start_worker(CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON) for _ in range(2)]
        writers = Writers(changing(leads, 1), changing(leads, 2))
        for seconds in (HOUR, -2 * HOUR, 5.0, -5.0, HOUR):
            time.sleep(2.5)
            step(seconds)
        time.sleep(2.5)
        writers.stop()
        arrived = assert_all_arrived(receiver, webhooks=[webhook])
        assert "clock.stepped" in workers[0].output + workers[1].output
        assert [worker.popen.poll() for worker in workers] == [None, None]
        again = len(arrived.requests) - len(arrived.by_delivery)
        # Each that came again had failed before, or was sent under a lease that the step had ended.
        failed = Attempt.objects.exclude(error="").count()
        assert failed > 0 and again == failed + arrived.unrecorded()
        assert arrived.unrecorded() <= 20
        for worker in workers:
            worker.stop()


def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_a_dead_workers_lease_or_a_retry(
    start_worker, receiver
):
    with steppable_clock() as step:
        webhook = new_webhook(receiver.url)
        hangs = iter([True])
        receiver.answer_by(lambda _: Answer(delay=30.0) if next(hangs, False) else Answer())
        worker = start_worker()
        new_lead(1)
        receiver.wait_for(1)
        worker.kill()
        step(-HOUR)  # the dead worker's lease now lasts for an hour and more
        Delivery.objects.update(next_attempt_at=database_now())
        killed_at = time.time()
        heir = start_worker()
        new_lead(2)
        receiver.wait_for(3, seconds=25)
        assert time.time() - killed_at < 20
        wait_until(nothing_waits)
        assert EndpointState.objects.get().lease_number == 2

        receiver.answer_by(lambda received: Answer(status=500 if _is_third(received) else 200))
        new_lead(3)
        waiting = Delivery.objects.filter(state="waiting", attempts=1)
        wait_until(waiting.exists)
        step(-HOUR)  # its retry, due in five seconds, is now due in an hour
        receiver.answer_by(lambda _: Answer())
        wait_until(nothing_waits, seconds=15)
        assert_all_arrived(receiver, webhooks=[webhook])
        heir.stop()


@pytest.fixture
def start_stepped_worker(tmp_path):
    """Starts a worker whose own clock is off by what is written into the file that is given back with it."""
    running = []

    def start(seconds: float, **environment: str):
        clock = tmp_path / "clock"
        clock.write_text(str(seconds))
        worker = start_process(
            "celery", "--app", "tests.services.stepped_worker", "worker", "--concurrency", "1",
            "--without-gossip", "--without-mingle", "--hostname", f"stepped-{free_port()}@test",
            log=tmp_path / "stepped.log",
            environment=environment_of_processes(CALLIYO_TESTS_CLOCK=str(clock), **environment),
        )  # fmt: skip
        running.append(worker)
        worker.wait_for_output("worker.ready")
        return worker, clock

    yield start
    stop_all(running)


def test_a_worker_whose_own_clock_is_stepped_to_and_fro_loses_nothing_and_sends_nothing_twice(
    start_worker, start_stepped_worker, receiver
):
    """Beside one whose clock is right. What receivers and the log are told of time is the database's."""
    webhook = new_webhook(receiver.url, secret="generate")
    other = new_webhook(f"{receiver.url}/other", key=new_key("Looker"))
    receiver.answer_by(lambda _: Answer(status=500 if len(receiver.requests) % 9 == 0 else 200))
    leads = [new_lead(number) for number in range(6)]
    stepped, clock = start_stepped_worker(0, CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON)
    workers = [stepped, start_worker(CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON)]
    writers = Writers(changing(leads, 1), changing(leads, 2))
    for seconds in (HOUR, -HOUR, 5.0, -HOUR, HOUR):
        time.sleep(2.5)
        clock.write_text(str(seconds))
    time.sleep(2.5)
    writers.stop()
    arrived = assert_all_arrived(receiver, webhooks=[webhook, other])
    assert [worker.popen.poll() for worker in workers] == [None, None]
    assert stepped.output.count("the clock is off") == 10  # five steps, of the worker and of its child
    failed = Attempt.objects.exclude(error="").count()
    # Leases go by the database's clock: none is lost, so nothing comes again that had not failed.
    assert failed > 0 and len(arrived.requests) - len(arrived.by_delivery) == failed
    assert EndpointState.objects.filter(taken_from="").count() == 2


def test_a_worker_whose_own_clock_is_an_hour_off_signs_and_logs_by_the_databases(
    start_stepped_worker, receiver
):
    webhook = new_webhook(receiver.url, secret="generate")
    worker, clock = start_stepped_worker(HOUR)
    for number, seconds in enumerate((HOUR, -HOUR), start=1):
        clock.write_text(str(seconds))
        wait_until(lambda off=seconds: worker.output.count(f"the clock is off by {off} s") == 2)
        worker_was_off = database_now()
        new_lead(number)
        received = receiver.wait_for(number, seconds=10)[-1]
        assert abs(int(received.headers["webhook-timestamp"]) - received.at) < 3
        Verifier(reveal_secret(webhook)).verify(received.body, received.headers)  # within five minutes
        wait_until(nothing_waits)
        logged = Attempt.objects.latest("pk")
        assert worker_was_off <= logged.started_at <= database_now()
    worker.stop()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_worker_whose_own_clock_is_an_hour_off_is_woken_all_the_same(
    start_stepped_worker, receiver, seconds
):
    """Without wake-ups, each event would wait for the sweep: two seconds behind the one that brought the last."""
    new_webhook(receiver.url)
    worker, _ = start_stepped_worker(seconds)
    wait_until(lambda: worker.output.count(f"the clock is off by {seconds} s") == 2)
    waits = []
    for number in range(1, 8):
        new_lead(number)
        committed_at = time.monotonic()
        receiver.wait_for(number, seconds=10)
        waits.append(time.monotonic() - committed_at)
        wait_until(nothing_waits)
        time.sleep(0.3)  # the engine has given the lease back, and waits to be told
    worker.stop()
    assert statistics.mean(waits[1:]) < 0.7 * (SWEEP_SECONDS - 0.3), waits


def _is_third(received: Received) -> bool:
    return received.headers["x-calliyo-sequence"] == "3"
