"""How often the engine looks: at what may have changed, and not at an endpoint that keeps it waiting."""

import time
from collections import Counter
from collections.abc import Collection
from datetime import datetime

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, parcel, running_engine, states
from tests.webhooks.receiver import answer
from webhooks.delivery import engine as engine_module
from webhooks.delivery import served as served_module
from webhooks.delivery.engine import Engine
from webhooks.delivery.gate import Gate
from webhooks.delivery.lease import Lease
from webhooks.delivery.loaded import sendable_webhooks
from webhooks.delivery.probe import Probe
from webhooks.delivery.run import Run
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def looks(monkeypatch) -> Counter[int]:
    """How often each webhook was looked at."""
    counted = Counter[int]()

    def counting(webhook_ids: Collection[int], now: datetime) -> list[Webhook]:
        counted.update(webhook_ids)
        return sendable_webhooks(webhook_ids, now)

    monkeypatch.setattr(engine_module, "sendable_webhooks", counting)
    return counted


def test_what_arrived_is_not_followed_by_another_look(receiver, looks):
    webhooks = [new_webhook(receiver.url, key=new_key(f"Key {number}")) for number in range(3)]
    with running_engine() as engine:
        time.sleep(0.3)  # its first sweep is over
        new_lead()
        engine.poke([webhook.pk for webhook in webhooks])
        wait_until(lambda: all(states(webhook) == ["delivered"] for webhook in webhooks))
        time.sleep(0.1)
    assert looks == dict.fromkeys((webhook.pk for webhook in webhooks), 1)


def test_pokes_cost_no_look_while_an_answer_is_overdue_and_what_came_meanwhile_follows_it(receiver, looks):
    receiver.script = [answer(delay=0.7)]
    webhook = new_webhook(receiver.url)
    new_lead(1)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        time.sleep(0.1)
        before = looks[webhook.pk]
        for number in range(2, 7):
            new_lead(number)
            engine.poke([webhook.pk])
            time.sleep(0.05)
        assert looks[webhook.pk] == before and len(receiver.received) == 1
        wait_until(lambda: states(webhook) == ["delivered"] * 6, seconds=1.5)


def test_what_came_for_a_lead_on_its_way_is_sent_as_soon_as_that_has_arrived(receiver, monkeypatch):
    monkeypatch.setattr(served_module, "SLOW_SECONDS", 5.0)  # this receiver passes for a fast one
    receiver.script = [answer(delay=0.4)]
    webhook = new_webhook(receiver.url)
    lead = new_lead()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        first = receiver.wait_for(1)[0]
        lead.first_name = "Meera"
        lead.save()
        engine.poke([webhook.pk])
        second = receiver.wait_for(2)[1]
    assert second.at - first.at < 1.2  # and not by the next sweep


def test_a_stop_that_waits_for_a_receiver_does_not_go_round_and_round(receiver, monkeypatch):
    receiver.script = [answer(delay=0.6)]
    webhook = new_webhook(receiver.url)
    turns: list[float] = []
    turn = Engine._turn
    monkeypatch.setattr(Engine, "_turn", lambda self: (turns.append(time.monotonic()), turn(self)))
    new_lead()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        stopped = time.monotonic()
        engine._stopping.set()
        engine.poke([webhook.pk])
    assert states(webhook) == ["delivered"]
    assert len([at for at in turns if at > stopped]) < 60


@pytest.mark.parametrize(
    ("all_arrived", "passed_over", "probe", "more"),
    [
        (True, False, None, False),
        (False, False, None, True),
        (True, True, None, True),
        (True, False, Probe(delivery_id=1), True),
    ],
)
def test_a_finished_run_is_looked_behind_where_something_may_stand(all_arrived, passed_over, probe, more):
    lease = Lease(webhook_id=1, number=1, ours_until=float("inf"))
    run = Run(None, lease, [parcel(1, probe)], Gate())
    run.all_arrived, run.passed_over = all_arrived, passed_over
    assert run.leaves_more() is more
