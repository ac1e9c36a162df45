"""Replay, pruning and the engine at the same events at once, on real PostgreSQL connections."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.clients import public_client
from tests.processes import wait_until
from tests.services.test_sequence import Elsewhere
from tests.webhooks.engines import new_lead, new_webhook, running_engine, states
from webhooks import pruning, replay
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.models import Delivery, EndpointState, Event, PrunedLog, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


def old_and_failed(count: int) -> Webhook:
    webhook = new_webhook("http://127.0.0.1:9/")
    for number in range(count):
        new_lead(number)
    give_positions()
    number_deliveries([webhook.pk])
    then = timezone.now() - timedelta(days=31)
    Event.objects.update(created_at=then)
    Delivery.objects.update(state="failed", finished_at=timezone.now(), next_attempt_at=None)
    return webhook


def test_an_event_that_is_being_queued_again_is_not_pruned_meanwhile():
    webhook = old_and_failed(4)
    queued, may_commit = threading.Event(), threading.Event()

    def queue() -> None:
        with transaction.atomic():
            assert replay.replay(replay.failed(webhook)) == 4
            queued.set()
            assert may_commit.wait(20)

    thread = Elsewhere(queue)
    assert queued.wait(20)
    assert pruning.prune().events == 0
    may_commit.set()
    thread.result()
    assert pruning.prune() == pruning.Pruned(events=0, deliveries=0, missed=0, kept=3)
    assert Event.objects.count() == 4


def test_an_event_that_is_being_pruned_is_not_queued_again(monkeypatch):
    webhook = old_and_failed(4)
    deleted, may_commit = threading.Event(), threading.Event()
    remember = pruning._remember

    def slowly(gone: list) -> None:
        remember(gone)
        deleted.set()
        assert may_commit.wait(20)

    monkeypatch.setattr(pruning, "_remember", slowly)
    pruner = Elsewhere(pruning.prune)
    assert deleted.wait(20)
    counts: list[int] = []
    replayer = Elsewhere(lambda: counts.append(replay.replay(replay.failed(webhook))))
    time.sleep(0.3)
    assert replayer.is_alive()  # it waits to see what is left
    may_commit.set()
    pruner.result()
    replayer.result()
    assert counts == [1] and Event.objects.count() == 1
    waiting = Delivery.objects.filter(state="waiting")
    assert [delivery.event_id for delivery in waiting] == [Event.objects.get().pk]


def test_two_replays_and_two_prunings_at_once_do_it_once():
    webhook = old_and_failed(30)
    counts: list[int] = []
    replays = [Elsewhere(lambda: counts.append(replay.replay(replay.failed(webhook)))) for _ in range(2)]
    for thread in replays:
        thread.result()
    assert sum(counts) == 30
    sequences = list(
        Delivery.objects.filter(cause="replay").order_by("pk").values_list("sequence", flat=True)
    )
    assert sequences == list(range(31, 61))
    Delivery.objects.filter(state="waiting").update(
        state="delivered", finished_at=timezone.now(), next_attempt_at=None
    )
    pruned: list[int] = []
    for thread in [Elsewhere(lambda: pruned.append(pruning.prune().events)) for _ in range(2)]:
        thread.result()
    assert Event.objects.count() == 1 and PrunedLog.objects.get().position == 29
    assert sum(pruned) == 29


def test_a_reader_gets_all_or_is_told_that_something_is_gone_while_it_is_pruned(monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 5)
    client = public_client("leads:read")
    for number in range(120):
        new_lead(number)
    give_positions()
    ids = [event.public_id for event in Event.objects.order_by("position")]
    Event.objects.filter(position__lte=100).update(created_at=timezone.now() - timedelta(days=31))
    outcomes: list[str] = []

    def read() -> None:
        after, got = None, []
        while True:
            answer = client.get("/public/events", {"limit": 3} | ({"after": after} if after else {}))
            if answer.status_code == 410:
                outcomes.append("told")
                return
            got += [event["id"] for event in answer.json()["results"]]
            after = answer.json()["next_after"]
            if not answer.json()["more"]:
                break
        # Whole from where it began: no hole, nothing twice.
        assert got == ids[ids.index(got[0]) :]
        outcomes.append("all")

    readers = [Elsewhere(read) for _ in range(4)]
    pruner = Elsewhere(pruning.prune)
    for thread in (*readers, pruner):
        thread.result()
    assert len(outcomes) == 4 and Event.objects.count() == 20


def test_replays_go_out_in_order_while_the_engine_works_and_new_events_come(receiver):
    webhook = new_webhook(receiver.url)
    leads = [new_lead(number) for number in range(6)]
    with running_engine():
        receiver.wait_for(6)
        wait_until(lambda: set(states(webhook)) == {"delivered"})
        replayer = Elsewhere(
            lambda: replay.replay(replay.everything_since(webhook, timezone.now() - timedelta(days=1)))
        )
        for turn in range(5):
            for lead in leads:
                lead.last_name = str(turn)
                lead.save()
        replayer.result()
        wait_until(lambda: set(states(webhook)) == {"delivered"})
    requests = receiver.requests
    numbers = [int(request.headers["x-calliyo-sequence"]) for request in requests]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert EndpointState.objects.get().last_sequence == len(numbers)
    lead_of = dict(Delivery.objects.values_list("pk", "lead_id"))
    for lead in leads:
        of_lead = [
            int(request.headers["x-calliyo-sequence"])
            for request in requests
            if lead_of[int(request.headers["x-calliyo-delivery"])] == lead.pk
        ]
        assert of_lead == sorted(of_lead)
