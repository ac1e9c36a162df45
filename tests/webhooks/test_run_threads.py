"""Threads that carry out runs: one for all that answer at once, and nobody waits for who does not."""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import new_sender, parcel
from tests.webhooks.receiver import Behaviour, Receiver, answer, running_receiver
from webhooks.delivery import run_threads
from webhooks.delivery.clock import ClockReading
from webhooks.delivery.gate import Gate
from webhooks.delivery.lease import Lease
from webhooks.delivery.run import QUICK_UNTIL_FAST, Run
from webhooks.delivery.run_threads import AT_ONCE, RunThreads
from webhooks.delivery.send import Sender
from webhooks.delivery.target import Target
from webhooks.delivery.turns import Turn, Turns
from webhooks.models import Ordering


def new_run(url: str, count: int = 1, *, fast: bool = True, one_lead: bool = False) -> Run:
    target = Target(
        webhook_id=1,
        api_key_id=1,
        url=url,
        secrets=(),
        headers={},
        ordering=Ordering.PER_LEAD,
        scopes=frozenset(),
        clock=ClockReading(datetime.now(UTC)),
    )
    parcels = [parcel(number) for number in range(count)]
    if one_lead:
        parcels = [replace(each, lane=0, lead_id=0) for each in parcels]
    lease = Lease(webhook_id=1, number=1, ours_until=float("inf"))
    return Run(target, lease, parcels, Gate(), fast=fast)


@contextmanager
def kept_alive(sender: Sender, count: int, *later: Behaviour) -> Iterator[list[Receiver]]:
    """So many receivers, each with a connection that is kept; from then on they do `later`, and then answer."""
    with ExitStack() as stack:
        stack.callback(sender.close)
        receivers = [stack.enter_context(running_receiver()) for _ in range(count)]
        for receiver in receivers:
            assert sender.send(receiver.url, headers={}, body=b"{}").succeeded
            receiver.received.clear()
            receiver.script += later
        yield receivers


def said(run: Run) -> list[tuple[int, bool]]:
    """What was sent, and whether it arrived."""
    return [(outcome.parcel.delivery_id, outcome.result.succeeded) for outcome in run.outcomes]


def test_a_request_to_each_is_under_way_before_the_first_answer_is_taken() -> None:
    told, sender = threading.Event(), new_sender(timeout=10)

    def once_told(sock, received):
        told.wait(10)
        return answer()(sock, received)

    with kept_alive(sender, 3, once_told) as receivers:
        threads = RunThreads(sender, lambda: None)
        runs = [new_run(receiver.url, 2) for receiver in receivers]
        assert threads._begun(runs) == runs
        for receiver in receivers:
            receiver.wait_for(1)
        assert [said(run) for run in runs] == [[], [], []]
        told.set()
        for run in runs:
            run.end(sender, Turn())
    assert [said(run) for run in runs] == [[(0, True)]] * 3


def test_no_more_than_so_many_are_under_way_at_once() -> None:
    sender = new_sender()
    with kept_alive(sender, 1) as [receiver]:
        threads = RunThreads(sender, lambda: None)
        threads._fast_taken = True  # no thread of its own
        for _ in range(2 * AT_ONCE):
            threads.start(new_run(receiver.url))
        begun = threads._begun([])
        assert len(begun) == AT_ONCE == len(threads._fast)
        for run in begun:
            run.end(sender, Turn())


@pytest.mark.parametrize("place", range(3))
def test_the_others_do_not_wait_for_one_that_hangs(place: int) -> None:
    sender = new_sender(timeout=2)
    with kept_alive(sender, 3) as receivers:
        receivers[place].default = receivers[place].hang
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs = [new_run(receiver.url, 20) for receiver in receivers]
        threads._unfinished += 1  # all of them are there before the first begins
        with threads._changed:
            for run in runs:
                threads.start(run)
            threads._unfinished -= 1
        others = [run for run in runs if run is not runs[place]]
        wait_until(lambda: all(run.finished for run in others), seconds=1.5)
        assert not runs[place].finished and runs[place].overdue(0)
        assert all(said(run) == [(number, True) for number in range(20)] for run in others)
        runs[place].stop()
        assert finished.wait(10)
    assert said(runs[place]) == [(0, False)]
    assert "no answer within 2 s" in str(runs[place].outcomes[0].result.failure)


def test_the_fast_ones_have_a_thread_where_all_others_wait(monkeypatch) -> None:
    monkeypatch.setattr(run_threads, "MAX_THREADS", 2)
    sender = new_sender(timeout=3)
    with kept_alive(sender, 3) as [*hanging, receiver]:
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs = [new_run(each.url, fast=False) for each in hanging]
        for each, run in zip(hanging, runs, strict=True):
            each.default = each.hang
            threads.start(run)
            each.wait_for(1)
        quick = new_run(receiver.url, 3)
        threads.start(quick)
        wait_until(lambda: quick.finished, seconds=2)
        assert said(quick) == [(0, True), (1, True), (2, True)] and not any(run.finished for run in runs)
        assert finished.wait(10)


def test_what_was_under_way_when_it_was_let_go_is_not_sent_again() -> None:
    sender = new_sender(timeout=1)
    with kept_alive(sender, 4) as receivers:
        receivers[0].default = receivers[0].hang
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs = [new_run(receiver.url, 5) for receiver in receivers]
        with threads._changed:
            for run in runs:
                threads.start(run)
        wait_until(lambda: all(run.finished for run in runs[1:]))
        runs[0].stop()
        assert finished.wait(10)
        assert [len(receiver.received) for receiver in receivers] == [1, 5, 5, 5]


def test_a_kept_connection_that_was_closed_costs_the_others_nothing() -> None:
    sender = new_sender()
    with kept_alive(sender, 3) as receivers:
        receivers[1].drop_connections()
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs = [new_run(receiver.url, 3) for receiver in receivers]
        for run in runs:
            threads.start(run)
        wait_until(lambda: all(run.finished for run in runs))
        assert all(said(run) == [(0, True), (1, True), (2, True)] for run in runs)
        assert [receiver.connections for receiver in receivers] == [1, 2, 1]


def test_what_answers_at_once_proves_fast_and_what_keeps_waiting_is_so_no_more() -> None:
    sender, turn = new_sender(), Turn(Turns())
    with running_receiver() as receiver:
        run = new_run(receiver.url, 20, fast=False)
        while not run.fast:
            turn.take()
            assert run.begin(sender)
            run.end(sender, turn)
        assert len(run.outcomes) > QUICK_UNTIL_FAST  # for the first, a connection was made
        receiver.default = answer(delay=0.05)
        turn.take()
        assert run.begin(sender)
        run.end(sender, turn)
        assert not run.fast and not turn.held
    sender.close()


def test_a_rate_limit_makes_it_wait_alone() -> None:
    run = new_run("http://127.0.0.1:9/", 2)
    assert run.fast
    run._gate.follow(60, 0)
    assert not run.fast


def test_nothing_of_a_lead_goes_after_a_failure_however_it_is_sent() -> None:
    sender = new_sender()
    with kept_alive(sender, 2, answer(), answer(500)) as receivers:
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs = [new_run(receiver.url, 4, one_lead=True) for receiver in receivers]
        for run in runs:
            threads.start(run)
        wait_until(lambda: all(run.finished for run in runs))
    assert all(said(run) == [(0, True), (1, False)] and not run.all_arrived for run in runs)


@pytest.mark.parametrize("fast", [True, False])
def test_a_fault_of_ours_ends_the_run_and_keeps_no_other_back(monkeypatch, caplog, fast: bool) -> None:
    sender, outcome = new_sender(), Run._outcome
    with kept_alive(sender, 3) as receivers:
        runs = [new_run(receiver.url, 3, fast=fast) for receiver in receivers]
        behind = new_run(receivers[0].url, 2, fast=fast)
        runs[0].go_on_with(behind)

        def faulty(run: Run, *args: object) -> object:
            if run is runs[0]:
                raise RuntimeError("a fault of ours")
            return outcome(run, *args)

        monkeypatch.setattr(Run, "_outcome", faulty)
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        with threads._changed:
            for run in runs:
                threads.start(run)
        assert finished.wait(10)
        wait_until(lambda: all(run.finished for run in [*runs, behind]))
    assert said(runs[0]) == [] and runs[0].leaves_more()
    assert [len(run.outcomes) for run in (runs[1], runs[2], behind)] == [3, 3, 2]
    assert "what it was about stays due" in caplog.text


def test_of_many_that_behave_as_they_like_each_parcel_is_sent_once_and_in_order(monkeypatch) -> None:
    """Also where threads are few: what is under way is never left without one."""
    monkeypatch.setattr(run_threads, "MAX_THREADS", 6)
    dice, sender = random.Random(4), new_sender(timeout=5)
    kinds = [answer(), answer(), answer(delay=0.004), answer(500), answer(headers="Connection: close\r\n")]
    with kept_alive(sender, 12) as receivers, running_receiver() as nobody_knew:
        for receiver in receivers:
            receiver.script += [dice.choice(kinds) for _ in range(40)]
        finished = threading.Event()
        threads = RunThreads(sender, finished.set)
        runs: list[Run] = []
        for place, receiver in enumerate([*receivers, nobody_knew]):
            first, second = (new_run(receiver.url, 20, fast=place % 3 > 0) for _ in range(2))
            first.go_on_with(second)
            runs += [first, second]
            for run in (first, second):
                run._stop_at += 60
                run._gate.learn = lambda _: None  # type: ignore[method-assign]  # no health here
            threads.start(first)
        assert finished.wait(60)
        wait_until(lambda: all(run.finished for run in runs))
        assert all([number for number, _ in said(run)] == list(range(20)) for run in runs)
        assert threads._unfinished == 0 and not threads._fast and not threads._alone
