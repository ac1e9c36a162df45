"""Runs: a webhook's next parcels, sent one after another by one thread. Threads are for waiting, so they are many."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from webhooks.delivery.claim import Parcel
from webhooks.delivery.failures import Failure, FailureCode
from webhooks.delivery.gate import Gate
from webhooks.delivery.lease import Lease
from webhooks.delivery.record import Outcome
from webhooks.delivery.send import AttemptResult, Sender, Timings
from webhooks.delivery.sentences import Sentence
from webhooks.delivery.target import Target
from webhooks.delivery.turns import PATIENCE, Turn, Turns

logger = logging.getLogger(__name__)

MAX_RUN_SECONDS = 1.0
"""So long what was read of key and webhook may be believed: then the rest is claimed anew."""
MAX_THREADS = 512
IN_ONE_TURN = 25
"""Then another thread that wants to send goes first."""
MAX_IDLE_SECONDS = 30.0


class Run:
    """Parcels of one webhook for one thread. The engine reads `outcomes` while it goes on."""

    def __init__(self, target: Target, lease: Lease, parcels: Sequence[Parcel], gate: Gate) -> None:
        self.target = target
        self.parcels = parcels
        self.outcomes: deque[Outcome] = deque()
        self.started_at = time.monotonic()
        self.finished = False
        self.all_arrived = False
        """Each of its parcels was sent, and well answered."""
        self.passed_over = False
        """Something more of its leads may wait behind it: a claim went by while it was under way."""
        self._lease = lease
        self._gate = gate
        self._lease_number = lease.number
        self._stop_at = self.started_at + MAX_RUN_SECONDS
        self._stopped = False
        self._begun = 0
        self._asked_at: float | None = None
        self._next: Run | None = None
        self._last = threading.Lock()
        self.leads = frozenset(parcel.lead_id for parcel in parcels)
        """The leads that have something in it."""

    def go_on_with(self, run: "Run") -> bool:
        """Has this run's thread carry out `run` next, without a pause; False where it is too late for that."""
        with self._last:
            if self.finished or self._next is not None:
                return False
            self._next = run
            return True

    def finish(self) -> "Run | None":
        """Ends it; the run that goes on on the same thread."""
        with self._last:
            self.finished = True
            return self._next

    def stop(self) -> None:
        """Begins no further request."""
        self._stopped = True

    def overdue(self, patience: float) -> bool:
        """Whether an answer is being waited for, and has been for longer than so many seconds."""
        asked_at = self._asked_at
        return asked_at is not None and time.monotonic() - asked_at > patience

    def left(self, patience: float) -> int:
        """How many parcels wait behind the one that is sent; none while its answer is overdue."""
        if self._stopped or self.finished or self.overdue(patience):
            return 0
        return max(0, len(self.parcels) - self._begun - 1)

    def leaves_more(self) -> bool:
        """Whether, now that it is finished, something may be due that was not when its parcels were claimed."""
        probe = self.parcels[0].probe is not None
        return probe or self.passed_over or not self.all_arrived

    def send_all(self, sender: Sender, turn: Turn) -> None:
        """Sends while it may, in this thread's turns; within a lane, nothing goes after a failure."""
        try:
            self._send_all(sender, turn)
        finally:
            turn.give_up()

    def _send_all(self, sender: Sender, turn: Turn) -> None:
        failed_lanes: set[int] = set()
        for number, parcel in enumerate(self.parcels):
            self._begun = number
            if parcel.lane in failed_lanes:
                continue
            if self._gate.rate_limit is not None or number % IN_ONE_TURN == 0:
                turn.give_up()  # the gate may make it wait, or others have waited long enough
            if self._gate.rate_limit is None:
                turn.take()
            if not self._gate.pass_one(self._stop_at) or self._stopped or not self._lease.holds():
                return
            outcome = self._attempted(parcel, sender, turn)
            self._asked_at = None
            first_byte = outcome.result.timings.first_byte
            turn.patient = first_byte is not None and first_byte < PATIENCE
            self.outcomes.append(outcome)
            self._gate.learn(outcome.answer())
            if not outcome.result.succeeded:
                failed_lanes.add(parcel.lane)
        self.all_arrived = not failed_lanes

    def _attempted(self, parcel: Parcel, sender: Sender, turn: Turn) -> Outcome:
        started_at = self.target.clock.now()
        self._asked_at = before = time.monotonic()
        headers: dict[str, str] = {}
        try:
            headers = self.target.request_headers(
                event_type=parcel.event_type,
                message_id=parcel.message_id,
                delivery=str(parcel.delivery_id),
                sequence=parcel.sequence,
                body=parcel.body,
            )
            result = sender.send(self.target.url, headers=headers, body=parcel.body, turn=turn)
        except Exception as error:
            logger.exception("Delivery %s could not be sent", parcel.delivery_id)
            words = Sentence.INTERNAL.told(reason=type(error).__name__)
            failure = Failure(FailureCode.INTERNAL, words)
            result = AttemptResult(timings=Timings(total=time.monotonic() - before), failure=failure)
        return Outcome(
            parcel=parcel,
            webhook_id=self.target.webhook_id,
            lease_number=self._lease_number,
            started_at=started_at,
            request_headers=sender.framing(self.target.url, parcel.body) | self.target.shown(headers),
            result=result,
        )


def split(parcels: Sequence[Parcel], runs: int) -> list[list[Parcel]]:
    """The parcels in at most so many runs; a lane stays whole, in its order."""
    parts: list[list[Parcel]] = [[] for _ in range(runs)]
    part_of: dict[int, list[Parcel]] = {}
    for parcel in parcels:
        part = part_of.setdefault(parcel.lane, parts[len(part_of) % runs])
        part.append(parcel)
    return [part for part in parts if part]


class RunThreads:
    """Threads that carry out runs: made when there is none idle, at most `MAX_THREADS`, gone after idling a while.

    They are daemons: a receiver that hangs does not keep the process from ending.
    """

    def __init__(self, sender: Sender, when_all_finished: Callable[[], None]) -> None:
        self._sender = sender
        self._when_all_finished = when_all_finished
        self._turns = Turns()
        self._changed = threading.Condition()
        self._runs: deque[Run] = deque()
        self._idle = 0
        self._count = 0
        self._unfinished = 0

    def start(self, run: Run) -> None:
        """Has `run` carried out; it waits while all threads are busy."""
        with self._changed:
            self._unfinished += 1
            self._runs.append(run)
            if self._idle >= len(self._runs) or self._count >= MAX_THREADS:
                self._changed.notify()
                return
            self._count += 1
        threading.Thread(target=self._work, name="calliyo-send", daemon=True).start()

    def _work(self) -> None:
        turn = Turn(self._turns)
        run = self._next()
        while run is not None:
            try:
                run.send_all(self._sender, turn)
            finally:
                following = run.finish()
                if following is None:
                    self._finished()
            run = following or self._next()

    def _finished(self) -> None:
        with self._changed:
            self._unfinished -= 1
            last = not self._unfinished
        if last:
            self._when_all_finished()

    def _next(self) -> Run | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._runs, timeout=MAX_IDLE_SECONDS)
            self._idle -= 1
            if self._runs:
                return self._runs.popleft()
            self._count -= 1
            return None
