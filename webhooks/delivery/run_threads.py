"""Threads that carry out runs. Threads are for waiting: one sends to all fast endpoints, each slow one has its own.

The one that sends to fast endpoints begins a request to several before it takes the first answer: so neither it nor a
receiver is woken for each single one. As soon as one of them keeps it waiting, it lets go of the others, which another
thread goes on with, and stays with that one: nobody waits for a neighbour.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from webhooks.delivery.run import Run
from webhooks.delivery.send import Sender
from webhooks.delivery.turns import Turn, Turns

logger = logging.getLogger(__name__)

MAX_THREADS = 512
AT_ONCE = 8
"""To so many fast endpoints a request is under way at once; with more, the first answer lies too long."""
ROUNDS_IN_ONE_TURN = 4
"""Then another thread that wants to send, and other fast endpoints, go first."""
MAX_IDLE_SECONDS = 30.0


class RunThreads:
    """Made when there is none idle, at most `MAX_THREADS`, gone after idling a while.

    One for the fast ones is made beyond that: their requests may be under way. They are daemons: a receiver that hangs
    does not keep the process from ending.
    """

    def __init__(self, sender: Sender, when_all_finished: Callable[[], None]) -> None:
        self._sender = sender
        self._when_all_finished = when_all_finished
        self._turns = Turns()
        self._changed = threading.Condition()
        self._alone: deque[Run] = deque()
        self._fast: deque[Run] = deque()
        self._fast_taken = False
        """Whether a thread goes through the fast ones."""
        self._idle = 0
        self._count = 0
        self._unfinished = 0

    def start(self, run: Run) -> None:
        """Has `run` carried out; it waits while all threads are busy."""
        with self._changed:
            self._unfinished += 1
            self._queue(run)

    def _queue(self, run: Run) -> None:
        with self._changed:
            if run.fast:
                self._fast.append(run)
                if self._fast_taken:
                    return
            else:
                self._alone.append(run)
            self._call_thread()

    def _call_thread(self) -> None:
        fast_wait = self._fast_wait()
        if self._idle >= len(self._alone) + fast_wait or (self._count >= MAX_THREADS and not fast_wait):
            self._changed.notify()
            return
        self._count += 1
        threading.Thread(target=self._work, name="calliyo-send", daemon=True).start()

    def _fast_wait(self) -> bool:
        return bool(self._fast) and not self._fast_taken

    def _work(self) -> None:
        turn = Turn(self._turns)
        while (work := self._next()) is not None:
            try:
                work(turn)
            except Exception:
                logger.exception("A fault in sending; what it was about stays due")
            finally:
                turn.give_up()

    def _next(self) -> Callable[[Turn], None] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._alone or self._fast_wait(), timeout=MAX_IDLE_SECONDS)
            self._idle -= 1
            if self._fast_wait():
                self._fast_taken = True
                return self._send_fast
            if self._alone:
                return partial(self._send_alone, self._alone.popleft())
            self._count -= 1
            return None

    # ── One that may keep its thread waiting ────────────────────────────────────────────────────────────

    def _send_alone(self, run: Run, turn: Turn) -> None:
        following: Run | None = run
        while following is not None and not following.fast:
            try:
                is_over = following.send(self._sender, turn)
            except Exception:
                self._end_after_fault(following)
                raise
            if is_over:
                following = self._following(following)
        if following is not None:
            self._queue(following)

    def _following(self, run: Run) -> Run | None:
        """Ends `run`; the one that goes on behind it."""
        following = run.finish()
        if following is None:
            self._finished()
        return following

    def _end_after_fault(self, run: Run) -> None:
        """Ends it without its outcome, or nobody would serve its webhook; what goes on behind it has its turn."""
        following = self._following(run)
        if following is not None:
            self._queue(following)

    def _finished(self) -> None:
        with self._changed:
            self._unfinished -= 1
            last = not self._unfinished
        if last:
            self._when_all_finished()

    # ── The fast ones ───────────────────────────────────────────────────────────────────────────────────

    def _send_fast(self, turn: Turn) -> None:
        runs: list[Run] = []
        while runs := self._behind_others(runs):
            turn.take()
            for _ in range(ROUNDS_IN_ONE_TURN):
                runs = self._begun(runs)
                for place, run in enumerate(runs):
                    turn.before_waiting = partial(self._let_go, [*runs[place + 1 :], *runs[:place]])
                    try:
                        run.end(self._sender, turn)
                    except Exception:
                        self._end_after_fault(run)
                        raise  # and with the turn, the others are let go
                    turn.before_waiting = None
                    if not turn.held:
                        self._send_alone(run, turn)
                        return
            turn.give_up()

    def _behind_others(self, runs: Sequence[Run]) -> list[Run]:
        """What is next, once these have gone behind the others; nothing ends the work of the thread that asks."""
        with self._changed:
            self._fast.extend(runs)
            self._fast_taken = bool(self._fast)
            return [self._fast.popleft()] if self._fast else []

    def _begun(self, runs: Sequence[Run]) -> list[Run]:
        """Those of these and of the next ones, up to `AT_ONCE`, that have a request under way now."""
        begun = [each for run in runs if (each := self._with_request(run)) is not None]
        while len(begun) < AT_ONCE and (run := self._one_more()) is not None:
            if (each := self._with_request(run)) is not None:
                begun.append(each)
        return begun

    def _with_request(self, run: Run) -> Run | None:
        """The run, or what goes on behind it, with a request under way; None where there is nothing to send here."""
        following: Run | None = run
        while following is not None and following.fast:
            if following.begin(self._sender):
                return following
            following = self._following(following)
        if following is not None:
            self._queue(following)
        return None

    def _one_more(self) -> Run | None:
        with self._changed:
            return self._fast.popleft() if self._fast else None

    def _let_go(self, runs: Sequence[Run]) -> None:
        """Another thread goes on with these, first of all those whose answers may have come."""
        with self._changed:
            self._fast.extendleft(reversed(runs))
            self._fast_taken = False
            if self._fast:
                self._call_thread()
