"""A worker with nothing to do is given half of what stands before another, and nothing is sent twice for that."""

from collections import defaultdict
from itertools import product

import orjson
import pytest

from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, running_engine
from tests.webhooks.receiver import answer, running_receiver
from webhooks.delivery import sharing
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import release_leases, take_leases
from webhooks.delivery.sharing import STANDING, ask_for_half
from webhooks.models import Delivery, DeliveryState, EndpointState

pytestmark = pytest.mark.django_db(transaction=True)
LEADS, CHANGES = 60, 4
EVENTS = LEADS * (1 + CHANGES)


@pytest.fixture
def webhooks():
    key = new_key()
    return [new_webhook(f"http://127.0.0.1:9/{number}", key=key) for number in range(5)]


@pytest.fixture(autouse=True)
def little_is_worth_it(monkeypatch):
    monkeypatch.setattr(sharing, "WORTH", 2 * STANDING)


def asked_for():
    return sorted(EndpointState.objects.filter(asked_for=True).values_list("webhook_id", flat=True))


def test_half_of_a_standing_backlog_changes_hands_in_order_and_each_is_sent_once():
    with running_receiver() as receiver:
        receiver.default = answer(204, body=b"", delay=0.01)
        key = new_key()
        webhooks = [new_webhook(f"{receiver.url}/{number}", key=key) for number in range(4)]
        leads = [new_lead(number) for number in range(LEADS)]
        for change, lead in product(range(CHANGES), leads):
            lead.source = f"change {change}"
            lead.save()
        with running_engine() as busy:
            busy.poke([webhook.pk for webhook in webhooks])
            receiver.wait_for(40)
            assert set(EndpointState.objects.values_list("lease_holder", flat=True)) == {busy._holder}
            with running_engine() as idle:
                mine = EndpointState.objects.filter(lease_holder=idle._holder)
                wait_until(lambda: mine.count() == 2)
                assert Delivery.objects.filter(state=DeliveryState.WAITING).count() > EVENTS
                wait_until(
                    lambda: not Delivery.objects.exclude(state=DeliveryState.DELIVERED).exists(), seconds=60
                )
        arrived = defaultdict(list)
        for request in receiver.received:
            lead = orjson.loads(request.body)["data"]["lead"]["id"]
            arrived[request.path, lead].append(int(request.headers["x-calliyo-sequence"]))
    assert len(receiver.received) == 4 * EVENTS
    assert len(arrived) == 4 * LEADS
    assert all(sequences == sorted(set(sequences)) for sequences in arrived.values())


def test_each_other_worker_is_asked_for_half_of_what_it_serves_and_of_no_single_one(webhooks):
    for number in range(STANDING):
        new_lead(number)
    ids = [webhook.pk for webhook in webhooks]
    take_leases(ids[:4], holder="busy")
    take_leases(ids[4:], holder="with one")
    assert ask_for_half("idle") == asked_for() == ids[:2]
    assert ask_for_half("idle too") == ids[2:3]  # of those that are left
    assert ask_for_half("idle too") == []
    assert asked_for() == ids[:3]


def test_what_is_sent_in_no_time_or_must_wait_is_left_where_it_is(webhooks):
    for number in range(STANDING - 1):
        new_lead(number)
    ids = [webhook.pk for webhook in webhooks]
    take_leases(ids, holder="busy")
    assert ask_for_half("idle") == []
    new_lead(STANDING)
    later = database_now().replace(year=2100)
    EndpointState.objects.filter(pk=ids[0]).update(held_until=later)
    EndpointState.objects.filter(pk=ids[1]).update(paused_until=later)
    EndpointState.objects.filter(pk=ids[2]).update(paced_until=later)
    assert ask_for_half("idle") == ids[3:4]


def test_nobody_is_asked_where_all_that_he_serves_is_soon_sent(webhooks, monkeypatch):
    for number in range(STANDING):
        new_lead(number)
    ids = [webhook.pk for webhook in webhooks]
    take_leases(ids, holder="busy")
    monkeypatch.setattr(sharing, "WORTH", STANDING * len(webhooks) + 1)
    assert ask_for_half("idle") == asked_for() == []
    new_lead(STANDING)
    assert ask_for_half("idle") == asked_for() == ids[:2]


def test_nobody_is_asked_for_what_is_free_or_was_left_behind_or_is_his_own(webhooks):
    for number in range(STANDING):
        new_lead(number)
    ids = [webhook.pk for webhook in webhooks]
    leases = take_leases(ids, holder="busy")
    assert ask_for_half("busy") == []
    EndpointState.objects.update(leased_until=database_now())
    assert ask_for_half("idle") == []
    release_leases(leases, holder="busy")
    assert ask_for_half("idle") == []


def test_what_was_asked_for_is_so_no_more_once_it_changed_hands(webhooks):
    ids = [webhook.pk for webhook in webhooks[:3]]
    leases = {lease.webhook_id: lease for lease in take_leases(ids, holder="busy")}
    EndpointState.objects.filter(pk__in=ids).update(asked_for=True)
    release_leases([leases[ids[0]]], holder="busy")
    EndpointState.objects.filter(pk=ids[1]).update(leased_until=database_now())
    take_leases([ids[1]], holder="idle")
    assert asked_for() == ids[2:]
