"""The engine: lives in a worker process, takes pokes, sweeps by itself, and serves webhooks under leases.

One thread decides and talks to the database (`_run`), one renews the leases, others wait for receivers
(`RunThreads`). The database is the truth: whatever is lost here, the rows are still due.
"""

import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from webhooks.delivery.claim import claim
from webhooks.delivery.clock import database_now, seconds_until
from webhooks.delivery.clock_steps import CheckedClock
from webhooks.delivery.counts import Counts
from webhooks.delivery.due import Wish
from webhooks.delivery.endpoint import facts_before_claim, facts_of
from webhooks.delivery.faults import outlived
from webhooks.delivery.health import asides_before
from webhooks.delivery.lease import (
    RENEW_SECONDS,
    LeaseLost,
    due_among,
    due_webhooks,
    hold,
    pace,
    release_leases,
    renew_leases,
    take_leases,
)
from webhooks.delivery.loaded import sendable_webhooks
from webhooks.delivery.pokes import Pokes
from webhooks.delivery.probe import next_probe
from webhooks.delivery.record import Outcome, record, without_answer
from webhooks.delivery.rest import Rest
from webhooks.delivery.run import MAX_RUN_SECONDS, Run, split
from webhooks.delivery.run_threads import RunThreads
from webhooks.delivery.send import Sender
from webhooks.delivery.sequence import give_positions, number_first
from webhooks.delivery.served import Served
from webhooks.delivery.sharing import Leisure
from webhooks.delivery.target import target_of
from webhooks.models import OffReason, Webhook
from webhooks.notices import tell_in_background
from webhooks.operations import give_up
from webhooks.secrets import UndecryptableSecret

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
TICK_SECONDS = 0.02
"""While something is on its way, what has come back is recorded so often: few statements for many deliveries."""
BATCH_OF_ALL = 2000
"""So many deliveries are read at once at most, for all that are ready: while they are sent, the next are read."""
NUMBERED_A_TURN = 1000
"""So many deliveries are numbered at once, or all of one webhook: sending begins with the first of many."""
NUMBERED_FIRST = 200
"""So many while nothing is sent yet."""
LEASES_A_TURN = 50
"""So many webhooks more are served with each turn: sending begins with the first of many, other workers get a share."""
MAX_SERVED = 1000
PAUSE_AFTER_FAULT = 1.0
LONGEST_ALARM = 120.0
"""Retries that are due later are found by the sweep: two seconds are nothing to them."""


class Engine:
    """Serves every webhook that it can get the lease of, until it is stopped."""

    def __init__(self, *, sender: Sender, schedule: Sequence[float]) -> None:
        self._sender = sender
        self._schedule = schedule
        self._holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex}"
        self._pokes = Pokes()
        self._threads = RunThreads(sender, self._pokes.wake)
        self._served: dict[int, Served] = {}
        self._served_lock = threading.Lock()
        self._unrecorded: list[Outcome] = []
        self._off: dict[int, OffReason] = {}
        self._counts = Counts()
        self._clock = CheckedClock(schedule)
        self._leisure = Leisure()
        self._sweep_at = 0.0
        self._rest = Rest()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._main = threading.Thread(target=self._run, name="calliyo-engine", daemon=True)
        self._renewer = threading.Thread(target=self._renew, name="calliyo-leases", daemon=True)

    def start(self) -> None:
        """Starts the engine's own threads; after the fork, never before."""
        self._main.start()
        self._renewer.start()

    def poke(self, webhook_ids: Sequence[int]) -> None:
        """These webhooks may have something due. Returns at once."""
        self._pokes.put(webhook_ids)

    def stop(self, patience: float) -> None:
        """Begins no further request, waits for those under way at most `patience` seconds, records, gives back."""
        self._stopping.set()
        self._pokes.wake()
        self._main.join(patience)
        self._renewer.join(1.0)
        self._sender.close()

    # ── The deciding thread ─────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._pokes.wait(self._until_next_turn())
                self._guarded_turn()
            while self._on_their_way():
                time.sleep(TICK_SECONDS)  # what is poked now is for others
                self._guarded_turn()
            outlived(self._release_idle)
            outlived(self._counts.save)
            self._counts.tell()
        finally:
            self._ended.set()
            connection.close()

    def _guarded_turn(self) -> None:
        with self._rest.after():
            if not outlived(self._turn):
                time.sleep(PAUSE_AFTER_FAULT)

    def _turn(self) -> None:
        self._collect()
        if self._stopping.is_set():
            for served in self._served.values():
                served.stop()
        else:
            wanted = self._wanted()
            try:
                self._lease(wanted)
            except Exception:
                self._pokes.put(wanted)  # looked at again once the database is back
                raise
            self._advance()
        self._release_idle()
        if not self._stopping.is_set():
            self._pokes.put_later(self._leisure.asked(self._holder, self._served.values()))

    def _on_their_way(self) -> bool:
        return bool(self._unrecorded) or self._sending()

    def _sending(self) -> bool:
        return any(served.runs for served in self._served.values())

    def _until_next_turn(self) -> float:
        if rest := self._rest.seconds(self._served.values()):
            return rest
        if any(served.wanted and served.room() > 0 for served in self._served.values()):
            return 0.0  # more is waiting than was read at once: it is made ready while that is sent
        return TICK_SECONDS if self._on_their_way() else max(0.0, self._sweep_at - time.monotonic())

    def _collect(self) -> None:
        """Takes what the runs have brought, and records it; what can't be recorded now is kept."""
        for served in self._served.values():
            self._unrecorded += served.collected()
        if self._unrecorded:
            self._leisure.busy()
            self._record()
        while self._off:
            self._turn_off(*self._off.popitem())  # should this fail, the next attempt brings it again

    def _turn_off(self, webhook_id: int, reason: OffReason) -> None:
        if give_up(webhook_id, reason):
            logger.warning("Webhook %s was turned off: %s", webhook_id, reason.value)
            tell_in_background()

    def _record(self) -> None:
        try:
            self._write(self._unrecorded)
        except (DataError, IntegrityError):
            # One answer of a stranger's that the database refuses must not keep the others from being recorded.
            logger.exception("Outcomes were refused; they are recorded one by one, without the answers")
            while self._unrecorded:
                self._write([without_answer(self._unrecorded[0])])

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        recorded = record(outcomes, holder=self._holder, schedule=self._schedule, jitter=_jitter)
        self._unrecorded = self._unrecorded[len(outcomes) :]
        self._counts.learn(recorded)
        self._off |= dict.fromkeys(recorded.failing, OffReason.FAILING)
        self._off |= dict.fromkeys(recorded.gone, OffReason.GONE)
        for webhook_id, seconds in recorded.retries.items():
            self._look_again(webhook_id, seconds)
        for webhook_id in recorded.asked_for.intersection(self._served):
            self._served[webhook_id].hand_over()
        if recorded.stale:
            logger.warning("%d outcomes came under lost leases; these are sent again", recorded.stale)

    def _wanted(self) -> set[int]:
        """What to look at now: poked, or found by the sweep. For what is served already, that is noted."""
        wanted = self._pokes.take()
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_SECONDS
            give_positions()
            now = self._clock.now()
            self._clock.free_the_dead(now)
            wanted.update(due_webhooks(now, take_over=self._clock.may_take_over()), self._served)
            self._counts.save()
        for webhook_id in wanted & self._served.keys():
            self._served[webhook_id].look_for_new()
        return wanted - self._served.keys()

    def _lease(self, wanted: set[int]) -> None:
        room = min(LEASES_A_TURN, MAX_SERVED - len(self._served))
        if not wanted or room <= 0:
            return
        # Looked at for a step: no poke takes over what only seems to have run out.
        due = due_among(wanted, self._clock.now())
        free = [webhook_id for webhook_id, is_free in due.items() if is_free]
        free, later = free[:room], free[room:]
        self._pokes.put(later)
        leases = take_leases(free, holder=self._holder, take_over=self._clock.may_take_over()) if free else []
        with self._served_lock:
            self._served.update((lease.webhook_id, Served(lease)) for lease in leases)
        self._counts.took(leases)
        self._pokes.settle(wanted.difference(due).union(lease.webhook_id for lease in leases))
        self._pokes.put_later(due.keys() - self._served.keys() - set(later))

    def _advance(self) -> None:
        """Starts runs where something is due and may be sent."""
        ready = [
            webhook_id for webhook_id, served in self._served.items() if served.wanted and served.room() > 0
        ]
        ready = self._numbered(ready)
        if not ready:
            return
        now = database_now()
        for webhook_id in ready:
            self._served[webhook_id].wanted = False
        try:
            self._start_runs(self._wishes(ready, now), now)
        except (DatabaseError, InterfaceError):
            for webhook_id in ready:
                self._served[webhook_id].wanted = True
            raise

    def _numbered(self, webhook_ids: list[int]) -> list[int]:
        """Those of the webhooks whose new deliveries have their numbers; the turn of the others comes next."""
        new_since = {webhook_id: self._served[webhook_id].new_since for webhook_id in webhook_ids}
        since = {webhook_id: moment for webhook_id, moment in new_since.items() if moment is not None}
        if not since:
            return webhook_ids
        give_positions()
        about = NUMBERED_A_TURN if self._sending() else NUMBERED_FIRST
        left = number_first(sorted(since, key=since.__getitem__), about=about)
        for webhook_id in since.keys() - left:
            self._served[webhook_id].new_since = None
        return [webhook_id for webhook_id in webhook_ids if webhook_id not in left]

    def _wishes(self, webhook_ids: Sequence[int], now: datetime) -> list[Wish]:
        """What to claim for those of the webhooks that may be sent to."""
        share = max(1, BATCH_OF_ALL // len(webhook_ids))
        wishes = []
        for webhook in sendable_webhooks(webhook_ids, now):
            try:
                wish = self._wish(self._served[webhook.pk], webhook, share, now)
            except (DatabaseError, InterfaceError):
                raise
            except LeaseLost:
                self._served[webhook.pk].lease.ours_until = 0.0
            except UndecryptableSecret as error:
                logger.error("Webhook %s is held: %s", webhook.pk, error.detail)
                hold(webhook.pk, f"held: {error.detail}")
            except Exception as error:
                logger.exception("Webhook %s is held after a fault in the engine", webhook.pk)
                hold(webhook.pk, f"held: a fault in Calliyo ({type(error).__name__})")
            else:
                wishes += [] if wish is None else [wish]
        return wishes

    def _wish(self, served: Served, webhook: Webhook, share: int, now: datetime) -> Wish | None:
        """What the webhook's endpoint may get now, by its health and its rate limit; None for nothing."""
        if webhook.state.asked_for:
            served.hand_over()
            return None
        facts = facts_of(webhook.state)
        wait = facts.seconds_to_wait(now)
        if wait > 0:
            served.probed = None
            self._look_again(webhook.pk, wait)
            return None
        target = target_of(webhook, now)
        facts = facts_before_claim(served.lease, facts, holder=self._holder, now=now, schedule=self._schedule)
        served.health = facts.health
        if served.runs and facts.is_down:
            return None  # looked at again when what is under way has ended
        if not served.runs:
            served.gate.reopen(failures=0 if facts.is_down else facts.failures_in_a_row)
        served.gate.follow(webhook.rate_limit, seconds_until(webhook.state.paced_until, now))
        limit = served.gate.room(MAX_RUN_SECONDS, min(share, served.limit()))
        if not limit:
            self._look_again(webhook.pk, served.gate.until_next())
            return None
        probe = None
        if facts.is_down:
            probe = next_probe(webhook.pk, target.ordering, facts, just_failed=served.probed, now=now)
            if probe is None:
                return None
        return Wish(
            target=target,
            lease=served.lease,
            limit=limit,
            busy_leads=frozenset[int]().union(*(run.leads for run in served.runs)),
            asides_before=asides_before(facts.last_success_at),
            probe=probe,
        )

    def _start_runs(self, wishes: Sequence[Wish], now: datetime) -> None:
        try:
            claimed = claim(wishes, holder=self._holder, now=now)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            webhook_ids = [wish.target.webhook_id for wish in wishes]
            logger.exception("A fault in the claim for webhooks %s", webhook_ids)
            if len(wishes) == 1:
                hold(webhook_ids[0], f"held: a fault in Calliyo ({type(error).__name__})")
                return
            for wish in wishes:  # one by one: which of them is it about?
                self._start_runs([wish], now)
            return
        for wish in wishes:
            served = self._served[wish.target.webhook_id]
            parcels = claimed.get(wish.target.webhook_id)
            if parcels is None:
                served.lease.ours_until = 0.0
                continue
            for run in served.runs:
                run.passed_over |= bool(wish.busy_leads)
            # More behind those, or another probe in place of one that was withheld.
            served.wanted = len(parcels) >= wish.limit or (wish.probe is not None and not parcels)
            if parcels and not self._paced(served, len(parcels), now):
                continue
            for part in split(parcels, max(1, served.room()) if served.slow else 1):
                self._start_run(served, Run(wish.target, served.lease, part, served.gate, fast=served.fast))

    def _paced(self, served: Served, count: int, now: datetime) -> bool:
        """Notes, before anything is sent, what of the rate limit it uses: who takes over sends nothing too early."""
        seconds = served.gate.used_up(count)
        if seconds is not None:
            try:
                pace(served.lease, until=now + timedelta(seconds=seconds), holder=self._holder)
            except LeaseLost:
                served.lease.ours_until = 0.0
                return False
        return True

    def _start_run(self, served: Served, run: Run) -> None:
        behind = None if served.slow or not served.runs else served.runs[-1]
        served.runs.append(run)
        if behind is None or not behind.go_on_with(run):
            self._threads.start(run)

    def _look_again(self, webhook_id: int, seconds: float) -> None:
        if seconds < LONGEST_ALARM:
            self._pokes.put_after(webhook_id, seconds)

    def _release_idle(self) -> None:
        """Gives back what has nothing on its way and nothing more to do; drops what is no longer ours."""
        leaving = self._stopping.is_set()
        idle = [served for served in self._served.values() if served.idle() or (leaving and not served.runs)]
        if not idle:
            return
        release_leases([served.lease for served in idle], holder=self._holder)
        with self._served_lock:
            for served in idle:
                del self._served[served.lease.webhook_id]

    # ── The thread that renews ──────────────────────────────────────────────────────────────────────────

    def _renew(self) -> None:
        try:
            while not self._ended.wait(RENEW_SECONDS):
                outlived(self._renew_once)
        finally:
            connection.close()

    def _renew_once(self) -> None:
        with self._served_lock:
            leases = [served.lease for served in self._served.values()]
        renew_leases(leases, holder=self._holder)


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 (spreads retries; not a secret)
