"""Turns at sending: one thread at a time, in order of their coming, and none behind somebody who waits."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import new_sender
from webhooks.delivery import exchange
from webhooks.delivery.deadline import Deadline
from webhooks.delivery.turns import Turn, Turns


def test_turns_are_granted_one_at_a_time_to_who_has_waited_longest() -> None:
    turns = Turns()
    first = Turn(turns)
    first.take()
    came: list[int] = []

    def come(number: int) -> None:
        turn = Turn(turns)
        turn.take()
        came.append(number)
        turn.give_up()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=come, args=[number], daemon=True))
        threads[-1].start()
        wait_until(lambda: len(turns._waiting) == len(threads))
    assert came == []
    first.give_up()
    for thread in threads:
        thread.join(5)
    assert came == [0, 1, 2, 3, 4]


def test_a_turn_that_is_held_is_taken_once_and_given_up_once() -> None:
    turns = Turns()
    turn, other = Turn(turns), Turn(turns)
    turn.take()
    turn.take()
    turn.give_up()
    turn.give_up()
    other.take()
    assert other.held and not turn.held


@contextmanager
def receiver(answers: int) -> Iterator[str]:
    """Accepts one connection, answers so many requests on it, and then is silent."""
    held: list[socket.socket] = []

    def serve() -> None:
        connection, _ = server.accept()
        held.append(connection)
        for _ in range(answers):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(5)
        for connection in held:
            connection.close()


@pytest.mark.parametrize("kept", [False, True])
def test_who_waits_for_an_answer_lets_others_go_on(kept: bool) -> None:
    turns, sender, started = Turns(), new_sender(timeout=30), threading.Event()

    def request() -> None:
        turn = Turn(turns)
        turn.take()
        started.set()
        sender.send(url, headers={}, body=b"{}", turn=turn)

    with receiver(answers=int(kept)) as url:
        if kept:
            assert sender.send(url, headers={}, body=b"{}").succeeded
        hanging = threading.Thread(target=request, daemon=True)
        hanging.start()
        assert started.wait(5)
        other = threading.Thread(target=Turn(turns).take, daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive() and hanging.is_alive()
    hanging.join(5)


def test_an_answer_that_comes_byte_by_byte_gives_the_turn_up_though_each_comes_at_once(monkeypatch) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_IN_ALL", 0.5)
    turn = Turn(Turns())
    turn.take()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"a" * 10)
        answer, byte = exchange._Answer(ours, Deadline(10), turn), memoryview(bytearray(1))
        assert answer.readinto(byte) == 1 and turn.held
        time.sleep(0.5)
        assert answer.readinto(byte) == 1 and not turn.held
