"""The endpoint's states and what waits for it, with a real engine and receiver; long times are made short."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.processes import wait_until
from tests.webhooks.engines import (
    all_settled,
    changed,
    new_key,
    new_lead,
    new_webhook,
    running_engine,
    state,
    states,
)
from tests.webhooks.receiver import Received, Receiver, answer, running_receiver
from webhooks.delivery.clock import database_now
from webhooks.delivery.health import RULES
from webhooks.models import Attempt, Delivery, EndpointState

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = timedelta(seconds=0.1)


@pytest.fixture
def rules():
    """`rules(first_probe_wait=…)` changes the numbers of the contract for one test."""
    kept = {name: getattr(RULES, name) for name in RULES.__slots__}

    def change(**values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(RULES, name, value)

    yield change
    change(**kept)


@pytest.fixture
def quick_probes(rules):
    rules(first_probe_wait=SHORT, longest_probe_wait=SHORT)


def of(received: Received) -> tuple[int, int]:
    lead = json.loads(received.body)["data"]["lead"]
    return lead["id"], lead["version"]


def refusing(poisoned: Callable[[Received], bool], status: int = 400):
    """Refuses what is poisoned, takes the rest."""

    def behave(sock, received: Received) -> bool:
        return answer(status if poisoned(received) else 200)(sock, received)

    return behave


def first_arrivals(receiver: Receiver, good_from: int = 0) -> dict[int, list[int]]:
    """By lead, the versions in the order in which they came, of the requests from `good_from` on."""
    found: dict[int, list[int]] = {}
    for received in receiver.received[good_from:]:
        lead, version = of(received)
        found.setdefault(lead, []).append(version)
    return found


# ── Down ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("quick_probes")
@pytest.mark.parametrize("ordering", ["per_lead", "strict", "none"])
def test_an_outage_fails_nothing_and_all_arrive_in_order_when_it_is_over(receiver, ordering):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url, ordering=ordering)
    leads = [new_lead(number) for number in range(8)]
    for lead in leads:
        changed(lead, 3)
    with running_engine(schedule=(0, 0.05)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().health == "down")
        wait_until(lambda: state().probes >= 9)
        assert set(states(webhook)) <= {"waiting", "failed"}
        counted = Delivery.objects.filter(state="waiting", attempts__gt=1).count()
        assert counted == 0 and Attempt.objects.filter(probe=True).count() >= 9
        failed_before = Delivery.objects.filter(state="failed").count()
        assert failed_before <= 2  # before it was down, attempts count
        receiver.default = answer()
        wait_until(all_settled)
    assert Counter(states(webhook)) == {
        "delivered": 32 - failed_before,
        **({"failed": failed_before} if failed_before else {}),
    }
    good = next(
        number for number, attempt in enumerate(Attempt.objects.order_by("id")) if attempt.status == 200
    )
    if ordering != "none":
        for versions in first_arrivals(receiver, good).values():
            assert versions == sorted(versions)
    back = state()
    assert (back.health, back.probes, back.paused_until, back.probed_sequence) == ("healthy", 0, None, None)


@pytest.mark.usefixtures("quick_probes")
def test_probes_are_the_oldest_and_then_other_leads_oldest_in_turn(receiver):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    leads = [changed(new_lead(number), 2) for number in range(3)]
    with running_engine(schedule=(0, 0.05, 60)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().probes >= 6)
    probes = [attempt.delivery.lead_id for attempt in Attempt.objects.filter(probe=True).order_by("id")]
    assert probes[:6] == [lead.pk for lead in leads] * 2
    assert {of(received)[1] for received in receiver.received} == {1}
    assert Attempt.objects.filter(probe=True).count() == state().probes


def test_a_single_delivery_follows_its_schedule_and_a_second_one_makes_the_endpoint_down(receiver):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    lead = new_lead()
    with running_engine(schedule=(0, *[0.05] * 5, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().failures_in_a_row == 6)
        assert (state().health, Delivery.objects.get().attempts) == ("healthy", 6)
        receiver.default = answer()
        changed(lead, 1)
        engine.poke([webhook.pk])
        wait_until(all_settled)
    assert states(webhook) == ["delivered", "delivered"]
    assert [of(received)[1] for received in receiver.received] == [1] * 7 + [2]


def test_the_waits_between_probes_grow_from_five_seconds(receiver):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    for number in range(6):
        new_lead(number)
    waits = []
    with running_engine(schedule=(0, 60)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().health == "down")
        for probes in range(3):
            assert state().probes == probes
            waits.append((state().paused_until - database_now()).total_seconds())
            EndpointState.objects.update(paused_until=database_now())
            engine.poke([webhook.pk])
            wait_until(lambda at=probes: state().probes == at + 1)
    assert [round(wait) for wait in waits] == [5, 10, 20]
    assert len(receiver.received) == 5 + 3


@pytest.mark.usefixtures("quick_probes")
@pytest.mark.parametrize("outage", [True, False])
def test_where_one_lead_waits_its_next_follow_the_oldest_and_show_whether_that_is_poisoned(
    receiver, rules, outage
):
    rules(next_of_lead_after=timedelta(0))
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    changed(new_lead(), 4)
    with running_engine(schedule=(0, *[0.02] * 5, 3600, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().probes >= 4)
        receiver.default = answer() if outage else refusing(lambda received: of(received)[1] == 1)
        wait_until(lambda: Delivery.objects.filter(state="delivered").count() >= (5 if outage else 4))
    tried = [of(received)[1] for received in receiver.received]
    probes = tried[5:13]
    assert probes[0::2] == [1, 1, 1, 1] and set(probes[1::2]) == {2, 3, 4, 5}
    arrived = [
        of(received)[1]
        for received, attempt in zip(receiver.received, Attempt.objects.order_by("id"), strict=True)
        if attempt.status == 200
    ]
    # After an outage all is in order; a poisoned one steps aside, and the others are in order.
    assert arrived[1:] == sorted(arrived[1:]) and set(arrived) == (
        {1, 2, 3, 4, 5} if outage else {2, 3, 4, 5}
    )
    if outage:
        assert arrived == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("quick_probes")
def test_in_strict_order_the_oldest_alone_is_the_probe(receiver, rules):
    rules(next_of_lead_after=timedelta(0))
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url, ordering="strict")
    for number in range(3):
        changed(new_lead(number), 1)
    with running_engine(schedule=(0, *[0.02] * 5, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().probes >= 4)
    assert {received.headers["x-calliyo-sequence"] for received in receiver.received} == {"1"}


@pytest.mark.usefixtures("quick_probes")
def test_a_probe_whose_scope_has_gone_is_withheld_and_the_next_takes_its_place(receiver):
    key = new_key()
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url, key=key)
    for number in range(4):
        new_lead(number)
    with running_engine(schedule=(0, *[0.02] * 5, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().health == "down")
        key.scopes = []
        key.save()
        wait_until(all_settled)
    assert states(webhook) == ["withheld"] * 4


# ── Slowed ──────────────────────────────────────────────────────────────────────────────────────────────


def test_retry_after_holds_all_of_the_endpoint_and_none_of_another(receiver):
    other = new_webhook(f"{receiver.url}/other", key=new_key("Looker"))
    with running_receiver() as asking:
        asking.script = [answer(429, headers="Retry-After: 2\r\n"), answer(503, headers="Retry-After: 0\r\n")]
        webhook = new_webhook(asking.url)
        new_lead(1), new_lead(2)
        with running_engine() as engine:
            engine.poke([webhook.pk, other.pk])
            asked = asking.wait_for(1)[0].at
            receiver.wait_for(2, timeout=1)
            engine.poke([webhook.pk])
            wait_until(lambda: EndpointState.objects.get(webhook=webhook).held_until is not None)
            second = asking.wait_for(2)[1].at
            wait_until(all_settled)
    assert second - asked >= 1.95
    assert states(webhook) == states(other) == ["delivered", "delivered"]


def test_one_answer_that_asks_for_a_slower_pace_stops_what_is_ready_to_go(receiver):
    receiver.script = [answer(503)]
    webhook = new_webhook(receiver.url)
    for number in range(20):
        new_lead(number)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        wait_until(lambda: state().health == "slowed")
        assert len(receiver.received) == 1
        wait_until(all_settled)
    first, second = (received.at for received in receiver.received[:2])
    assert second - first >= 0.45
    assert state().health == "healthy" and Counter(states(webhook)) == {"delivered": 20}


def test_a_failing_endpoint_is_not_hammered_with_what_was_made_ready(receiver):
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    for number in range(60):
        new_lead(number)
    with running_engine(schedule=(0, 60)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().health == "down")
        time.sleep(0.5)
    assert len(receiver.received) == 5
    assert Delivery.objects.filter(attempts=0).count() == 55


# ── Order ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_has_failed_while_others_succeed_steps_aside_for_its_leads_later_events(receiver, rules):
    rules(step_aside_after=timedelta(seconds=1))
    webhook = new_webhook(receiver.url)
    poisoned = changed(new_lead(1), 2)
    receiver.default = refusing(lambda received: of(received) == (poisoned.pk, 1))
    started = time.monotonic()
    with running_engine(schedule=(0, 0.1, 0.3, 3600)) as engine:
        engine.poke([webhook.pk])
        for number in range(2, 40):
            new_lead(number)
            engine.poke([webhook.pk])
            if Delivery.objects.filter(lead_id=poisoned.pk, state="delivered").count() == 2:
                break
            time.sleep(0.1)
    assert time.monotonic() - started >= 1.0
    of_poisoned = [of(received)[1] for received in receiver.received if of(received)[0] == poisoned.pk]
    assert of_poisoned == [1, 1, 1, 2, 3]
    first = Delivery.objects.filter(lead_id=poisoned.pk).earliest("id")
    assert (first.state, first.attempts) == ("waiting", 3)


def test_a_delivery_that_stepped_aside_and_fails_again_holds_nothing_back(receiver):
    webhook = new_webhook(receiver.url)
    poisoned = changed(new_lead(1), 3)
    receiver.default = refusing(lambda received: of(received) == (poisoned.pk, 1))
    first = Delivery.objects.earliest("id")
    long_ago = database_now() - timedelta(hours=1)
    Delivery.objects.filter(pk=first.pk).update(
        attempts=3, first_attempt_at=long_ago, overtaken_since=long_ago, sequence=1
    )
    EndpointState.objects.update(last_success_at=database_now(), last_sequence=1)
    with running_engine(schedule=(0, 3600, 3600, 3600, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: Delivery.objects.filter(state="delivered").count() == 3)
    assert [of(received)[1] for received in receiver.received] == [1, 2, 3, 4]


def test_without_a_success_of_others_nothing_steps_aside(receiver, rules):
    rules(step_aside_after=timedelta(0), failures_until_down=100)
    receiver.default = answer(500)
    webhook = new_webhook(receiver.url)
    changed(new_lead(), 2)
    with running_engine(schedule=(0, *[0.05] * 6, 3600)) as engine:
        engine.poke([webhook.pk])
        wait_until(lambda: state().failures_in_a_row == 7)
        time.sleep(0.3)
    assert {of(received)[1] for received in receiver.received} == {1}


# ── Rate limit ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_rate_limit_is_kept_and_used(receiver):
    webhook = new_webhook(receiver.url, rate_limit=600)
    for number in range(15):
        new_lead(number)
    before = time.time()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        received = receiver.wait_for(15)
        wait_until(all_settled)
    # Each may be late, on a busy machine; none is early.
    for number, each in enumerate(received):
        assert each.at - before >= number * 0.1 - 0.01
    assert received[-1].at - before < 8


def test_another_engine_does_not_begin_the_limit_anew(receiver):
    webhook = new_webhook(receiver.url, rate_limit=30)
    new_lead(1), new_lead(2)
    for _ in range(2):
        with running_engine() as engine:
            engine.poke([webhook.pk])
            receiver.wait_for(1)
            time.sleep(0.3)
    assert len(receiver.received) == 1
    with running_engine():
        first, second = receiver.wait_for(2)
    assert second.at - first.at >= 1.8  # 2 s between the starts; the first one's arrival may be late
