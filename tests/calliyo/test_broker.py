"""The embedded broker: whole messages, each once, whoever writes and reads at the same time."""

import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from calliyo import broker

QUEUE = Queue("hammered", Exchange("hammered", type="direct"), routing_key="hammered")
WRITERS, MESSAGES, READERS = 3, 400, 3


def connect(folder: Path) -> Connection:
    return Connection(broker.URL, transport_options=broker.transport_options(folder))


def publish(connection: Connection, *numbers: int) -> None:
    producer = connection.Producer()
    for number in numbers:
        producer.publish({"number": number}, exchange=QUEUE.exchange, routing_key="hammered", declare=[QUEUE])


def received(connection: Connection, *, quiet: float = 0.3) -> list[int]:
    """Every number that comes until nothing has come for so long."""
    numbers: list[int] = []

    def take(body, message):
        numbers.append(body["number"])
        message.ack()

    with connection.Consumer([QUEUE], callbacks=[take]):
        while True:
            try:
                connection.drain_events(timeout=quiet)
            except TimeoutError:
                return numbers


def _write(folder: Path, first: int) -> None:
    with connect(folder) as connection:
        publish(connection, *range(first, first + MESSAGES))


def _read(folder: Path, answers) -> None:
    with connect(folder) as connection:
        answers.put(received(connection, quiet=2.0))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "broker"


def test_several_processes_lose_nothing_and_take_nothing_twice(folder):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    readers = [context.Process(target=_read, args=(folder, answers)) for _ in range(READERS)]
    writers = [context.Process(target=_write, args=(folder, n * MESSAGES)) for n in range(WRITERS)]
    for process in readers + writers:
        process.start()
    taken = [answers.get(timeout=60) for _ in readers]
    for process in readers + writers:
        process.join(timeout=10)
        assert process.exitcode == 0
    counts = Counter(number for numbers in taken for number in numbers)
    assert counts == dict.fromkeys(range(WRITERS * MESSAGES), 1)
    assert list((folder / "messages").iterdir()) == []


def test_a_message_reaches_a_waiting_reader_within_a_poll(folder):
    with connect(folder) as connection:
        publish(connection, 1)
        began = time.monotonic()
        assert received(connection, quiet=0.06) == [1]
        assert time.monotonic() - began < 0.9  # kombu itself looks once a second


def test_messages_come_in_the_order_in_which_they_were_sent(folder):
    with connect(folder) as connection:
        publish(connection, *range(50))
        assert received(connection) == list(range(50))


def test_a_message_that_was_not_acknowledged_comes_back_when_its_reader_leaves(folder):
    with connect(folder) as connection:
        publish(connection, 7)
        with connection.Consumer([QUEUE], callbacks=[lambda body, message: None]):
            connection.drain_events(timeout=1)
    with connect(folder) as connection:
        assert received(connection) == [7]


def test_a_file_that_a_power_cut_left_empty_ends_nobody(folder):
    with connect(folder) as connection:
        publish(connection, 1, 2)
        oldest = min((folder / "messages").iterdir())
        oldest.write_bytes(b"")
        assert received(connection) == [2]
    assert list((folder / "messages").iterdir()) == []


def test_a_draft_is_never_read(folder):
    with connect(folder) as connection:
        publish(connection, 1)
        whole = min((folder / "messages").iterdir())
        whole.rename(whole.with_name(f"{whole.name}.abc.draft"))
        assert received(connection) == []


def test_what_no_worker_took_for_an_hour_is_swept_away(folder, monkeypatch):
    monkeypatch.setattr(broker, "PUTS_BETWEEN_SWEEPS", 4)
    with connect(folder) as connection:
        publish(connection, 1, 2, 3)
        for path in (folder / "messages").iterdir():
            os.utime(path, (0, time.time() - broker.OLDEST_MESSAGE - 1))
        publish(connection, 4)
        publish(connection, 5)
        assert received(connection) == [4, 5]


def test_an_exchange_that_many_declare_at_once_keeps_every_queue(folder):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_declare, args=(folder, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    with connect(folder) as connection:
        table = connection.default_channel.get_table("hammered")
    assert sorted(row.queue for row in table) == sorted(f"q{n}.{i}" for n in range(4) for i in range(20))


def _declare(folder: Path, n: int) -> None:
    with connect(folder) as connection:
        for i in range(20):
            Queue(f"q{n}.{i}", QUEUE.exchange, routing_key="x")(connection.default_channel).declare()


def test_purging_counts_what_it_removed(folder):
    with connect(folder) as connection:
        publish(connection, 1, 2, 3)
        assert QUEUE(connection.default_channel).purge() == 3
        assert received(connection) == []


def test_a_folder_that_is_gone_is_a_broker_that_is_down(folder):
    options = broker.transport_options(folder)
    (folder / "messages").rmdir()
    connection = Connection(broker.URL, transport_options=options)
    with pytest.raises(Exception, match="folder is gone"):
        connection.connect()


def test_files_are_readable_by_their_owner_alone(folder):
    with connect(folder) as connection:
        publish(connection, 1)
    assert [path.stat().st_mode & 0o777 for path in (folder / "messages").iterdir()] == [0o600]
    assert (folder / "messages").stat().st_mode & 0o777 == 0o700
