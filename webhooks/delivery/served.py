"""A webhook that this engine serves: its lease, what is on its way, and how much more may be."""

import time
from dataclasses import dataclass, field

from webhooks.delivery.gate import Gate
from webhooks.delivery.health import Health, runs_after
from webhooks.delivery.lease import Lease
from webhooks.delivery.record import Outcome
from webhooks.delivery.run import MAX_RUN_SECONDS, Run

BATCH = 500
"""So many deliveries are read at once at most."""
SLOW_SECONDS = 0.02
FAST_SECONDS = 0.002
"""An attempt that takes less hardly waits for its receiver."""
"""An attempt that takes longer waits for its receiver: only then is another thread worth its while."""


@dataclass(slots=True)
class Served:
    """A webhook whose lease is ours, and what is on its way to it.

    A fast endpoint is served fastest by one thread; for one that makes us wait, more run at once with each success.
    """

    lease: Lease
    runs: list[Run] = field(default_factory=list)
    gate: Gate = field(default_factory=Gate)
    health: Health = Health.HEALTHY
    allowed_runs: int = 1
    slow: bool = False
    wanted: bool = True
    new_since: float | None = field(default_factory=time.monotonic)
    """When it was told that there may be deliveries without a number; a poke or the sweep tells it."""
    asked_for: bool = False
    """Another worker would serve it: what is under way ends, and then the lease is given back."""
    probed: int | None = None
    """The delivery that has just failed as a probe that goes on with another."""
    pace: float = 0.005
    """Seconds that an attempt takes, of late."""

    @property
    def fast(self) -> bool:
        """Whether it is known to answer so soon that a thread may have requests to others under way meanwhile."""
        return self.health is Health.HEALTHY and not self.slow and self.pace < FAST_SECONDS

    def room(self) -> int:
        """How many more runs may start now; behind a fast endpoint's run, the next one is made ready.

        Not behind an answer that is overdue: an endpoint that hangs would cost a look with each poke.
        """
        if self.asked_for or not self.lease.holds() or (self.runs and not self.gate.takes_more):
            return 0
        if self.health is not Health.HEALTHY:
            return 1 - len(self.runs)
        if self.slow:
            return self.allowed_runs - len(self.runs)
        if any(run.overdue(SLOW_SECONDS) for run in self.runs):
            return 0
        return 2 - len(self.runs)

    def in_hand(self) -> float:
        """Seconds of work that its thread has before it; none that counts where the receiver is waited for."""
        return 0.0 if self.slow else self.pace * sum(run.left(SLOW_SECONDS) for run in self.runs)

    def limit(self) -> int:
        """How many deliveries can be sent while what was read with them may be believed."""
        each = max(1, int(MAX_RUN_SECONDS / 2 / self.pace))
        return min(BATCH, each * max(1, self.room()) if self.slow else each)

    def collected(self) -> list[Outcome]:
        """What its runs have brought since the last time, learned from; those that are finished are let go."""
        outcomes: list[Outcome] = []
        for run in list(self.runs):
            finished = run.finished  # read first: what it brought before is then all there
            while run.outcomes:
                outcomes.append(run.outcomes.popleft())
                self.learn(outcomes[-1])
            if finished:
                self.runs.remove(run)
                self.wanted |= run.leaves_more()
        return outcomes

    def learn(self, outcome: Outcome) -> None:
        """Takes what one attempt says of the endpoint."""
        seconds = outcome.result.timings.total
        self.slow = seconds >= SLOW_SECONDS
        self.pace += (seconds - self.pace) / 4
        parcel = outcome.parcel
        goes_on = parcel.probe is not None and parcel.probe.goes_on and not outcome.result.succeeded
        self.probed = parcel.delivery_id if goes_on else None
        self.allowed_runs = runs_after(self.allowed_runs, outcome.answer())

    def look_for_new(self) -> None:
        """There may be more to do, and deliveries without a number."""
        self.wanted = True
        if self.new_since is None:
            self.new_since = time.monotonic()

    def stop(self) -> None:
        """Begins no further request of what was read already."""
        for run in self.runs:
            run.stop()

    def hand_over(self) -> None:
        """Lets another worker have it, as soon as the requests under way have ended."""
        self.asked_for = True
        self.stop()

    def idle(self) -> bool:
        """Whether there is nothing on its way, and nothing to be done or no right to do it."""
        return not self.runs and (not self.wanted or self.asked_for or not self.lease.holds())
