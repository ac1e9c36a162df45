"""The publisher thread: whoever saves waits for no broker, whatever the broker does."""

import logging
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from kombu import Connection

from apikeys.models import APIKey
from calliyo import broker, broker_link, publisher
from calliyo.celery import app as celery_app
from calliyo.publisher import Publisher, Sender
from tests.leads.factories import LeadFactory
from tests.processes import environment_of_processes, wait_until
from tests.servers import free_port
from webhooks.models import Delivery, Webhook

DOES_NOT_WAIT = 0.05  # seconds; the bound for a broker that is down or hangs
LEAVES_SOON = 1.5  # seconds; the flush is 0.2, a driver's own limits are 2 and 5


class Recorder:
    """A `send` that notes what it got, and fails or waits when told to."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, ids) -> None:
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.sent.append(list(ids))


@pytest.fixture
def send():
    return Recorder()


@pytest.fixture
def own(send):
    return Publisher(send)


def test_ids_are_sent_by_another_thread(own, send):
    own.poke([3, 1])
    assert own.flush(5)
    assert send.sent == [[1, 3]]


def test_nothing_to_tell_starts_no_thread(own):
    own.poke([])
    assert own._thread is None
    assert own.flush(0)


def test_wake_ups_that_come_while_one_is_on_its_way_are_joined(own, send):
    send.gate.clear()
    own.poke([1])
    wait_until(lambda: own._busy)
    for _ in range(1000):
        own.poke([2, 3])
    own.poke([2])
    send.gate.set()
    assert own.flush(5)
    assert send.sent == [[1], [2, 3]]


def test_many_webhooks_are_told_in_messages_that_several_workers_can_share(own, send):
    own.poke(range(20))
    assert own.flush(5)
    assert send.sent == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


def test_memory_is_bounded_by_the_number_of_webhooks(own, send):
    send.gate.clear()
    for _ in range(100):
        own.poke(range(50))
    assert len(own._waiting) <= 50
    send.gate.set()


def test_a_burst_is_a_few_messages(own, send):
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        own.poke([1])
        time.sleep(0.001)
    assert own.flush(5)
    assert 1 <= len(send.sent) <= 0.5 / publisher.LEAST_GAP + 2


def test_a_failure_ends_neither_the_thread_nor_the_saver(own, send, monkeypatch):
    monkeypatch.setattr(publisher, "PAUSE_AFTER_FAILURE", 0.01)
    send.error = ConnectionRefusedError("nobody there")
    own.poke([1])
    assert own.flush(5)
    send.error = None
    own.poke([2])
    assert own.flush(5)
    assert send.sent == [[2]]


def test_a_failing_broker_is_in_the_log_once_a_minute(own, send, monkeypatch, caplog):
    monkeypatch.setattr(publisher, "PAUSE_AFTER_FAILURE", 0.001)
    send.error = ConnectionRefusedError("nobody there")
    with caplog.at_level(logging.WARNING, logger="calliyo.publisher"):
        for number in range(5):
            own.poke([number])
            assert own.flush(5)
        assert len(caplog.records) == 1
        monkeypatch.setattr(own, "_last_complaint", time.monotonic() - publisher.BETWEEN_COMPLAINTS)
        own.poke([9])
        assert own.flush(5)
        assert len(caplog.records) == 2
    assert "nobody there" in caplog.text


def test_a_broker_whose_messages_nobody_takes_does_not_fill_up(monkeypatch):
    monkeypatch.setattr(broker_link, "MOST_WAITING", 30)
    monkeypatch.setattr(broker_link, "SENT_BETWEEN_LOOKS", 10)
    with celery_app.connection_for_write() as broker_connection:
        celery_app.control.purge(broker_connection)
        link = broker_link.Link()
        try:
            for number in range(100):
                link.send(publisher.TASK, [[number]])
            assert link._waiting() == 30
            assert celery_app.control.purge(broker_connection) == 30
            for number in range(20):
                link.send(publisher.TASK, [[number]])
            assert link._waiting() == 20  # somebody took them: it takes more
            celery_app.control.purge(broker_connection)
        finally:
            link.close()


def test_a_wake_up_is_a_celery_message_with_the_ids_that_expires_by_the_brokers_clock_alone(tmp_path):
    run_script(
        "poke_webhooks([5, 4]); assert publisher._publisher.flush(20)",
        CALLIYO_DATA_DIR=str(tmp_path),
        CALLIYO_TESTS_DIR=str(tmp_path),
        CELERY_BROKER_URL="",
        DJANGO_SETTINGS_MODULE="calliyo.settings",
    )
    with Connection(
        broker.URL, transport_options=broker.transport_options(tmp_path / "broker")
    ) as connection:
        message = connection.default_channel.basic_get("celery", no_ack=True)
    assert message.headers["task"] == "webhooks.poke"
    assert message.payload[0] == [[4, 5]]
    assert message.headers["expires"] is None  # a worker would compare that with a clock of its own
    assert message.properties["expiration"] == "60000"
    assert message.headers["ignore_result"] is True


def run_script(script: str, **environment: str) -> str:
    """What the script prints, in a process of its own, whose exit flushes the publisher."""
    prologue = """
        import os, time
        from calliyo import publisher
        from calliyo.publisher import poke_webhooks
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(prologue) + textwrap.dedent(script)],
        env=environment_of_processes(**environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TIMED = """
    import atexit, statistics
    taken = []
    for number in range(40):
        began = time.perf_counter()
        poke_webhooks([number])
        taken.append(time.perf_counter() - began)
        time.sleep(0.01)
    # The median: on a busy machine a single turn may be taken away from anybody.
    print(statistics.median(taken))
    left = time.perf_counter()
    # Handlers run last in, first out: what is printed holds the flush of the publisher.
    atexit.unregister(publisher._flush_at_exit)
    atexit.register(lambda: print(time.perf_counter() - left))
    atexit.register(publisher._flush_at_exit)
"""


@pytest.fixture
def hanging_server():
    """Takes every connection and says nothing, as a server does behind a broken network."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.fixture(params=["hangs", "refuses"])
def unwell_url(request, hanging_server):
    return hanging_server if request.param == "hangs" else f"redis://127.0.0.1:{free_port()}/0"


def test_an_unwell_broker_holds_neither_saver_nor_exit(unwell_url):
    poke, leaving = map(float, run_script(TIMED, CELERY_BROKER_URL=unwell_url).split())
    assert poke < DOES_NOT_WAIT
    assert leaving < LEAVES_SOON


@pytest.fixture
def unwell_broker(unwell_url, monkeypatch):
    monkeypatch.setattr(publisher, "_publisher", Publisher(Sender(unwell_url)))


def seconds_of_a_save(saves: int) -> float:
    """The median of so many creations in autocommit, as a request would do them."""
    taken = []
    for lead in LeadFactory.build_batch(saves):
        began = time.perf_counter()
        lead.save()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@pytest.mark.django_db(transaction=True)
def test_a_save_does_not_wait_for_an_unwell_broker(unwell_broker):
    key = APIKey.objects.create(name="Any", digest="0" * 64, prefix="cly_live_0000")
    Webhook.objects.create(api_key=key, url="https://receiver.example.com/", events=["lead.created"])
    # Generous, since tests share their machine: a save that waited would take a driver's limit. Figures: make bench.
    assert seconds_of_a_save(20) < 0.2
    assert Delivery.objects.count() == 20


def test_a_forked_child_publishes_by_a_thread_of_its_own(tmp_path):
    script = """
        poke_webhooks([1])
        assert publisher._publisher.flush(20)
        child = os.fork()
        poke_webhooks([2] if child else [3])
        assert publisher._publisher.flush(20)
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    run_script(
        script,
        CALLIYO_DATA_DIR=str(tmp_path),
        CALLIYO_TESTS_DIR=str(tmp_path),
        CELERY_BROKER_URL="",
        DJANGO_SETTINGS_MODULE="calliyo.settings",
    )
    sent = []
    with Connection(
        broker.URL, transport_options=broker.transport_options(tmp_path / "broker")
    ) as connection:
        while message := connection.default_channel.basic_get("celery", no_ack=True):
            sent += message.payload[0]
    assert sorted(sent) == [[1], [2], [3]]
