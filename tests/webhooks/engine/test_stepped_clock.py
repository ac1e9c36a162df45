"""The database's clock is set forward or back while an engine runs: nothing stalls, nothing is sent twice."""

import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import all_settled, new_lead, new_webhook, running_engine, state, states
from tests.webhooks.receiver import answer
from webhooks.delivery import clock, clock_steps
from webhooks.delivery import engine as engine_module
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import take_leases
from webhooks.models import Delivery, EndpointState

pytestmark = pytest.mark.django_db(transaction=True)


class SteppedClock:
    """The database's clock, as far off as a test wants."""

    def __init__(self) -> None:
        self.off = timedelta(0)
        self._now, self._clock_in = clock.database_now, clock.database_clock_in

    def now(self) -> datetime:
        return self._now() + self.off

    def clock_in(self, seconds: float) -> str:
        return self._clock_in(seconds + self.off.total_seconds())


@pytest.fixture
def stepped(monkeypatch):
    stepped = SteppedClock()
    for module in ("clock", "engine", "record"):
        monkeypatch.setattr(f"webhooks.delivery.{module}.database_now", stepped.now)
    for module in ("lease", "sharing"):
        monkeypatch.setattr(f"webhooks.delivery.{module}.database_clock_in", stepped.clock_in)
    return stepped


def test_a_clock_that_is_set_back_stalls_nothing(receiver, stepped):
    receiver.script = [answer(500)]
    webhook = new_webhook(receiver.url)
    with running_engine(schedule=(0, 1.0)) as engine:
        stepped.off = timedelta(0)
        new_lead(1)
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        wait_until(lambda: Delivery.objects.get().attempts == 1)
        stepped.off = timedelta(hours=-1)
        new_lead(2)
        receiver.wait_for(3, timeout=6)
        wait_until(all_settled)
    assert states(webhook) == ["delivered", "delivered"] and len(receiver.received) == 3


def test_a_clock_that_is_set_forward_sends_nothing_twice(receiver, stepped):
    receiver.default = answer(delay=0.5)
    webhook = new_webhook(receiver.url)
    for number in range(12):
        new_lead(number)
    with running_engine() as one, running_engine() as two:
        one.poke([webhook.pk])
        receiver.wait_for(1)
        wait_until(lambda: two._clock._watch._offsets is not None)  # who began after it can't know of a step
        stepped.off = timedelta(hours=1)
        two.poke([webhook.pk])
        wait_until(all_settled)
    assert max(Counter(each.headers["x-calliyo-delivery"] for each in receiver.received).values()) == 1
    assert state().lease_number == 1


def test_a_dead_workers_lease_from_before_the_clock_was_set_back_ends_by_our_own_clock(receiver, monkeypatch):
    webhook = new_webhook(receiver.url)
    take_leases([webhook.pk], holder="dead")
    EndpointState.objects.update(leased_until=database_now() + timedelta(hours=1))
    watch = clock_steps.LeaseWatch(0.1)
    assert watch.free_the_dead(database_now()) == 0
    EndpointState.objects.update(leased_until=database_now() + timedelta(hours=2))  # renewed: it lives
    time.sleep(0.12)
    assert watch.free_the_dead(database_now()) == 0
    time.sleep(0.12)
    assert watch.free_the_dead(database_now()) == 1
    monkeypatch.setattr(engine_module, "SWEEP_SECONDS", 0.1)
    new_lead()
    with running_engine():
        receiver.wait_for(1)


def test_waits_are_cut_to_the_longest_that_they_could_be(receiver):
    webhook = new_webhook(receiver.url)
    new_lead(1), new_lead(2)
    now = database_now()
    far = now + timedelta(days=300)
    first, second = Delivery.objects.order_by("id")
    Delivery.objects.filter(pk=first.pk).update(next_attempt_at=far)
    Delivery.objects.filter(pk=second.pk).update(next_attempt_at=far, attempts=2)
    EndpointState.objects.update(paused_until=far, held_until=far, paced_until=far, down_since=far)
    for _ in range(2):
        clock_steps.shorten_waits(now, (0, 5, 60))
    assert Delivery.objects.get(pk=first.pk).next_attempt_at == now
    assert Delivery.objects.get(pk=second.pk).next_attempt_at == now + timedelta(seconds=72)
    kept = state()
    assert (kept.paused_until, kept.held_until) == (now + timedelta(minutes=10), now + timedelta(days=1))
    assert (kept.paced_until, kept.down_since) == (now + timedelta(minutes=1), now)
    assert webhook.pk == kept.pk


def test_a_step_is_told_from_a_slow_answer(monkeypatch):
    watch = clock.ClockWatch()
    assert watch.look()[1] == 0
    assert watch.look()[1] is None
    real = clock.database_now

    def slowly() -> datetime:
        time.sleep(1.6)
        return real()

    monkeypatch.setattr(clock, "database_now", slowly)
    assert watch.look()[1] is None
    monkeypatch.setattr(clock, "database_now", lambda: real() + timedelta(seconds=30))
    assert watch.look()[1] == pytest.approx(30, abs=2)
    monkeypatch.setattr(clock, "database_now", lambda: real() - timedelta(seconds=30))
    assert watch.look()[1] == pytest.approx(-60, abs=2)
