"""Runs: a webhook's next parcels, sent one after another."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from webhooks.delivery.claim import Parcel
from webhooks.delivery.failures import Failure, FailureCode
from webhooks.delivery.gate import Gate
from webhooks.delivery.lease import Lease
from webhooks.delivery.record import Outcome
from webhooks.delivery.result import AttemptResult, Timings
from webhooks.delivery.send import Begun, Sender
from webhooks.delivery.sentences import Sentence
from webhooks.delivery.target import Target
from webhooks.delivery.turns import PATIENCE, Turn

logger = logging.getLogger(__name__)

MAX_RUN_SECONDS = 1.0
"""So long what was read of key and webhook may be believed: then the rest is claimed anew."""
QUICK_UNTIL_FAST = 2
"""So many answers in a row, each within a turn, prove an endpoint fast."""
IN_ONE_TURN = 25
"""Then another thread that wants to send goes first."""


@dataclass(slots=True, kw_only=True)
class _UnderWay:
    """A request that has begun, or what came of it where it could not."""

    parcel: Parcel
    started_at: datetime
    headers: dict[str, str]
    request: Begun


class Run:
    """Parcels of one webhook, one after another. The engine reads `outcomes` while it goes on.

    `fast`: its endpoint is known to answer so soon that requests to others may be under way meanwhile.
    """

    def __init__(
        self, target: Target, lease: Lease, parcels: Sequence[Parcel], gate: Gate, *, fast: bool = False
    ) -> None:
        self.target = target
        self.parcels = parcels
        self._fast = fast
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
        self._come_to = 0
        self._failed_lanes: set[int] = set()
        self._under_way: _UnderWay | None = None
        self._patient = True
        self._quick = 0
        self._asked_at: float | None = None
        self._next: Run | None = None
        self._last = threading.Lock()
        self.leads = frozenset(parcel.lead_id for parcel in parcels)
        """The leads that have something in it."""

    @property
    def fast(self) -> bool:
        """Whether requests to others may be under way beside its own; changes with each answer."""
        return self._fast and self._gate.rate_limit is None

    def go_on_with(self, run: "Run") -> bool:
        """Has `run` carried out right behind this one; False where it is too late for that."""
        with self._last:
            if self.finished or self._next is not None:
                return False
            self._next = run
            return True

    def finish(self) -> "Run | None":
        """Ends it; the run that goes on behind it."""
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
        return len(self.parcels) - max(1, self._come_to)

    def leaves_more(self) -> bool:
        """Whether, now that it is finished, something may be due that was not when its parcels were claimed."""
        probe = self.parcels[0].probe is not None
        return probe or self.passed_over or not self.all_arrived

    def send(self, sender: Sender, turn: Turn) -> bool:
        """Sends while it may, in this thread's turns, each once the one before it is answered.

        False where it has proved fast, and more is to be sent.
        """
        try:
            for number in count():
                if self._gate.rate_limit is not None or number % IN_ONE_TURN == 0:
                    turn.give_up()  # the gate may make it wait, or others have waited long enough
                if self._gate.rate_limit is None:
                    turn.take()
                if not self.begin(sender):
                    break
                self.end(sender, turn)
                if self.fast and self._come_to < len(self.parcels):
                    return False
        finally:
            turn.give_up()
        return True

    def begin(self, sender: Sender) -> bool:
        """Begins the next request, where none is under way; waits for nobody but its rate limit.

        False where the run ends here: within a lane, nothing goes after a failure.
        """
        if self._under_way is not None:
            return True
        parcel = self._next_parcel()
        if parcel is None:
            self.all_arrived = not self._failed_lanes
            return False
        if not self._gate.pass_one(self._stop_at) or self._stopped or not self._lease.holds():
            return False
        self._under_way = self._begun(parcel, sender)
        return True

    def end(self, sender: Sender, turn: Turn) -> None:
        """Takes the answer to the request that is under way, whenever it comes; gives up the turn to wait."""
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        turn.patient = self._patient
        try:
            result = sender.end(under_way.request, turn)
        except Exception as error:
            logger.exception("Delivery %s could not be sent", under_way.parcel.delivery_id)
            result = self._fault(error)
        self._asked_at = None
        first_byte = result.timings.first_byte
        self._patient = turn.held or (first_byte is not None and first_byte < PATIENCE)
        self._quick = self._quick + 1 if turn.held else 0
        self._fast = turn.held and (self._fast or self._quick >= QUICK_UNTIL_FAST)
        outcome = self._outcome(under_way, result, sender)
        self.outcomes.append(outcome)
        self._gate.learn(outcome.answer())
        if not result.succeeded:
            self._failed_lanes.add(under_way.parcel.lane)

    def _next_parcel(self) -> Parcel | None:
        while self._come_to < len(self.parcels):
            parcel = self.parcels[self._come_to]
            self._come_to += 1
            if parcel.lane not in self._failed_lanes:
                return parcel
        return None

    def _begun(self, parcel: Parcel, sender: Sender) -> _UnderWay:
        started_at = self.target.clock.now()
        self._asked_at = time.monotonic()
        headers: dict[str, str] = {}
        try:
            headers = self.target.request_headers(
                event_type=parcel.event_type,
                message_id=parcel.message_id,
                delivery=str(parcel.delivery_id),
                sequence=parcel.sequence,
                body=parcel.body,
            )
            request = sender.begin(self.target.url, headers=headers, body=parcel.body)
        except Exception as error:
            logger.exception("Delivery %s could not be sent", parcel.delivery_id)
            request = self._fault(error)
        return _UnderWay(parcel=parcel, started_at=started_at, headers=headers, request=request)

    def _fault(self, error: Exception) -> AttemptResult:
        words = Sentence.INTERNAL.told(reason=type(error).__name__)
        seconds = time.monotonic() - (self._asked_at or self.started_at)
        return AttemptResult(timings=Timings(total=seconds), failure=Failure(FailureCode.INTERNAL, words))

    def _outcome(self, under_way: _UnderWay, result: AttemptResult, sender: Sender) -> Outcome:
        url, parcel = self.target.url, under_way.parcel
        return Outcome(
            parcel=parcel,
            webhook_id=self.target.webhook_id,
            lease_number=self._lease_number,
            started_at=under_way.started_at,
            request_headers=sender.framing(url, parcel.body) | self.target.shown(under_way.headers),
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
