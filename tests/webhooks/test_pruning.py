"""Retention: what is old goes, what is waited for and the newest stay, and readers are told what is gone."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from structlog.testing import capture_logs

from calliyo.models import Company
from tests.webhooks.engines import new_key, new_lead, new_webhook, states
from webhooks import pruning
from webhooks.delivery.sequence import give_positions, latest_position
from webhooks.models import Attempt, Delivery, Event, PrunedLog, Webhook
from webhooks.pruning import Pruned, prune, would_prune
from webhooks.tasks import prune as prune_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Webhook:
    return new_webhook("https://hooks.example.com/in")


def age(days: int, *, events: Any = None, deliveries: Any = None) -> None:
    """Makes events (all), and deliveries (of these events), so old."""
    events = Event.objects.all() if events is None else events
    ids = list(events.values_list("pk", flat=True))
    then = timezone.now() - timedelta(days=days)
    Event.objects.filter(pk__in=ids).update(created_at=then)
    of_them = Delivery.objects.filter(event_id__in=ids)
    of_them.update(created_at=then)
    of_them.exclude(finished_at=None).update(finished_at=then)


def deliver_all() -> None:
    waiting = Delivery.objects.filter(state="waiting")
    ids = list(waiting.values_list("pk", flat=True))
    waiting.update(state="delivered", finished_at=timezone.now(), next_attempt_at=None)
    Attempt.objects.bulk_create(
        Attempt(delivery_id=pk, number=1, started_at=timezone.now(), total_ms=1) for pk in ids
    )


def test_old_events_deliveries_and_attempts_go_and_the_newest_event_stays(webhook):
    for number in range(4):
        new_lead(number)
    deliver_all()
    age(31)
    with capture_logs() as logs:
        assert prune() == Pruned(events=3, deliveries=4, missed=0, kept=0)
    assert logs[-1] == {
        "event": "log.pruned", "log_level": "info", "events": 3, "deliveries": 4, "missed": 0, "kept": 0,
    }  # fmt: skip
    assert list(Event.objects.values_list("position", flat=True)) == [4]
    assert not Delivery.objects.exists() and not Attempt.objects.exists()
    new_lead(5)
    give_positions()
    assert latest_position() == 5
    assert prune() == Pruned(events=1, deliveries=0, missed=0, kept=0)


def test_what_is_younger_stays(webhook):
    new_lead(1)
    new_lead(2)
    deliver_all()
    age(29)
    assert prune() == Pruned(events=0, deliveries=0, missed=0, kept=0)
    assert PrunedLog.objects.count() == 0
    assert prune(older_than=timedelta(days=28)).events == 1


def test_the_companys_retention_counts(webhook):
    Company.current()
    Company.objects.update(retention_days=3)
    new_lead(1)
    new_lead(2)
    deliver_all()
    age(4)
    prune_task()
    assert Event.objects.count() == 1


def test_an_event_that_a_delivery_waits_for_stays(webhook):
    leads = [new_lead(number) for number in range(3)]
    age(10)
    Delivery.objects.exclude(lead_id=leads[1].pk).update(
        state="delivered", finished_at=timezone.now() - timedelta(days=9), next_attempt_at=None
    )
    older = timedelta(days=5)
    assert would_prune(older_than=older) == Pruned(events=1, deliveries=2, missed=0, kept=1)
    assert prune(older_than=older) == Pruned(events=1, deliveries=2, missed=0, kept=1)
    assert [event.lead_id for event in Event.objects.order_by("pk")] == [leads[1].pk, leads[2].pk]
    assert states(webhook) == ["waiting"]


def test_a_delivery_that_waited_longer_than_the_retention_is_missed_and_announced(webhook):
    other = new_webhook("https://other.example.com/", key=new_key("Other"))
    for number in range(3):
        new_lead(number)
    age(31)
    assert would_prune() == Pruned(events=2, deliveries=0, missed=6, kept=0)
    with capture_logs() as logs:
        assert prune() == Pruned(events=2, deliveries=0, missed=6, kept=0)
    announced = [
        (line["log_level"], line["webhook"], line["count"])
        for line in logs
        if line["event"] == "deliveries.missed"
    ]
    assert announced == [("warning", webhook.pk, 3), ("warning", other.pk, 3)]
    assert states(webhook) == states(other) == ["missed"] * 3
    delivery = Delivery.objects.all()[0]
    assert delivery.next_attempt_at is None and "waited longer" in delivery.last_error


def test_an_old_event_that_is_sent_again_stays_until_it_arrived(webhook):
    for number in range(2):
        new_lead(number)
    deliver_all()
    age(31)
    first = Event.objects.order_by("pk")[0]
    now = timezone.now()
    Delivery.objects.create(
        webhook=webhook, event=first, type=first.type, lead_id=first.lead_id, cause="replay",
        created_at=now, next_attempt_at=now,
    )  # fmt: skip
    assert prune() == Pruned(events=0, deliveries=2, missed=0, kept=1)
    deliver_all()
    assert prune() == Pruned(events=1, deliveries=0, missed=0, kept=0)
    assert states(webhook) == ["delivered"]  # its log is kept as long as that of others


def test_readers_are_told_what_is_gone(client_with):
    client = client_with("leads:read")
    for number in range(4):
        new_lead(number)
    places = [client.get("/public/events", {"limit": n}).json()["next_after"] for n in (1, 2, 3)]
    ids = [event.public_id for event in Event.objects.order_by("position")]
    age(31, events=Event.objects.filter(position__lte=2))
    prune()
    mark = PrunedLog.objects.get()
    assert (mark.position, f"evt_{mark.uid.hex}") == (2, ids[1])
    answers = [client.get("/public/events", {"after": after}) for after in (*places, *ids)]
    assert [answer.status_code for answer in answers] == [410, 200, 200, 410, 200, 200, 200]
    assert [event["id"] for event in answers[1].json()["results"]] == ids[2:]
    assert [event["id"] for event in client.get("/public/events").json()["results"]] == ids[2:]


def test_batches_end_and_a_call_that_has_no_time_left_is_gone_on_with(webhook, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 2)
    for number in range(7):
        new_lead(number)
    deliver_all()
    age(31)
    assert prune(longest=0) == Pruned(events=0, deliveries=0, missed=0, kept=0)
    assert prune() == Pruned(events=6, deliveries=7, missed=0, kept=0)


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("prune", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command(webhook):
    for number in range(3):
        new_lead(number)
    deliver_all()
    age(3)
    told = {"events": 2, "deliveries": 3, "missed": 0, "kept": 0, "usage": 0, "refused_calls": 0}
    assert run() == {**dict.fromkeys(told, 0), "dry_run": False}
    assert run("--events-older-than", "2d", "--dry-run") == {**told, "dry_run": True}
    assert Event.objects.count() == 3
    out = StringIO()
    call_command("prune", "--events-older-than", "2d", stdout=out)
    assert out.getvalue() == "2 events and 3 deliveries deleted.\n"
    with pytest.raises(CommandError, match="'2 days' is no span") as refusal:
        call_command("prune", "--events-older-than", "2 days")
    assert refusal.value.returncode == 1
