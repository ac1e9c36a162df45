"""All that failed since some moment: the number first, one order a webhook, in batches, whoever dies meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.models import AuditEntry
from tests.webhooks.engines import new_lead, new_webhook
from tests.webhooks.test_replay import end, fresh, queued
from webhooks import replay, resending, tasks
from webhooks.models import Delivery, ResendOrder
from webhooks.operations import turn_off
from webhooks.replay import WebhookIsOff
from webhooks.resending import AlreadyResending, carry_on, resend, resend_failed, running_order, what_failed
from webhooks.tasks import clean_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def since():
    return timezone.now() - timedelta(hours=1)


@pytest.fixture
def webhook(monkeypatch):
    """One with five failed deliveries, where two are a batch and more are an order."""
    hook = new_webhook("https://hooks.example.com/in", events=["lead.created"])
    for number in range(5):
        new_lead(number)
    end(hook, "failed")
    monkeypatch.setattr(replay, "BATCH", 2)
    monkeypatch.setattr(resending, "AT_ONCE", 2)
    return fresh(hook)


def test_the_number_is_that_of_what_failed_since_then(webhook, since):
    oldest = Delivery.objects.order_by("pk").first()
    Delivery.objects.filter(pk=oldest.pk).update(finished_at=since - timedelta(minutes=1))
    failed = what_failed(webhook, since)
    assert (failed.count.events, failed.up_to) == (4, Delivery.objects.order_by("-pk").first().pk)
    assert not queued(webhook)


def test_many_are_queued_in_batches_and_said_once_in_the_audit(webhook, since):
    failed = what_failed(webhook, since)
    assert resend_failed(webhook, since=since, up_to=failed.up_to) == 5
    assert len(queued(webhook)) == 5
    assert not ResendOrder.objects.exists()
    [entry] = AuditEntry.objects.filter(action="webhook.replayed")
    assert entry.data["events"] == 5


def test_a_few_need_no_order(webhook, since, monkeypatch):
    monkeypatch.setattr(resending, "AT_ONCE", 10)
    monkeypatch.setattr(resending, "carry_on", lambda *args, **options: pytest.fail("ordered"))
    assert resend_failed(webhook, since=since, up_to=what_failed(webhook, since).up_to) == 5
    assert len(queued(webhook)) == 5


def test_what_is_too_much_for_the_request_is_housekeepings(webhook, since, monkeypatch):
    monkeypatch.setattr(resending, "LONGEST_AT_ONCE", 0.0)
    up_to = what_failed(webhook, since).up_to
    assert resend_failed(webhook, since=since, up_to=up_to) == 5
    assert not queued(webhook)
    with pytest.raises(AlreadyResending):
        resend_failed(webhook, since=since, up_to=up_to)
    assert running_order(webhook.pk).events == 5
    clean_up()
    assert len(queued(webhook)) == 5
    assert running_order(webhook.pk) is None


def test_an_order_whose_worker_died_is_carried_on_from_where_it_was_and_by_one_at_a_time(
    webhook, since, monkeypatch
):
    monkeypatch.setattr(resending, "LONGEST_AT_ONCE", 0.0)
    resend_failed(webhook, since=since, up_to=what_failed(webhook, since).up_to)
    killed_after(1, monkeypatch)
    assert len(queued(webhook)) == 2
    assert carry_on() == 0  # somebody may still be at it
    ResendOrder.objects.update(worked_on_until=timezone.now() - timedelta(seconds=1))
    assert carry_on() == 3
    assert sorted(row.event_id for row in queued(webhook)) == sorted(
        set(Delivery.objects.values_list("event_id", flat=True))
    )


class Killed(BaseException):
    """As `kill -9`: nothing of ours runs after it."""


def killed_after(batches, monkeypatch):
    """Carries out what was ordered until so many batches are committed."""
    left = iter(range(batches))
    queue = replay.queue

    def mortal(*arguments):
        count = queue(*arguments)
        if next(left, None) is None:
            raise Killed  # before the commit
        return count

    monkeypatch.setattr(replay, "queue", mortal)
    with pytest.raises(Killed):
        carry_on()
    monkeypatch.setattr(replay, "queue", queue)


@pytest.mark.parametrize("what", ["since", "missed", "failed"])
def test_each_kind_of_order_queues_each_event_once_whoever_dies_and_however_fast_they_arrive(
    webhook, since, monkeypatch, what
):
    if what == "missed":
        Delivery.objects.update(state="missed")
    choice = {
        "since": lambda: replay.everything_since(webhook, since),
        "missed": lambda: replay.missed(webhook),
        "failed": lambda: replay.failed(webhook),
    }[what]()
    assert resend(choice, events=replay.count(choice).events) == 5
    assert not queued(webhook)
    new_lead(77)  # goes out by itself
    end(webhook, "delivered")
    killed_after(2, monkeypatch)
    end(webhook, "delivered")  # so that they would be found once more
    ResendOrder.objects.update(worked_on_until=None)
    assert running_order(webhook.pk).queued == 4
    assert carry_on() == 1
    again = Delivery.objects.filter(cause="replay").order_by("sequence").values_list("event_id", flat=True)
    assert list(again) == sorted(set(again))
    assert len(again) == 5
    assert not ResendOrder.objects.exists()


def test_a_worker_is_told_at_once_and_hands_on_what_it_has_no_time_for(
    webhook, since, monkeypatch, django_capture_on_commit_callbacks
):
    told = []
    monkeypatch.setattr(resending, "poke_orders", lambda ids: told.append(list(ids)))
    choice = replay.everything_since(webhook, since)
    with django_capture_on_commit_callbacks(execute=True):
        resend(choice, events=replay.count(choice).events)
    [[order]] = told
    monkeypatch.setattr(resending, "LONGEST_IN_TASK", 0.001)
    tasks.resend([order])
    assert told[1:] == [[order]]
    monkeypatch.setattr(resending, "LONGEST_IN_TASK", 5.0)
    tasks.resend([order])
    assert len(queued(webhook)) == 5
    assert told[2:] == [[]]


def test_what_fails_again_is_not_sent_again_by_the_same_order(webhook, since):
    up_to = what_failed(webhook, since).up_to
    resend_failed(webhook, since=since, up_to=up_to)
    end(webhook, "failed")
    assert resend_failed(webhook, since=since, up_to=up_to) == 0
    assert what_failed(webhook, since).count.events == 5


def test_an_order_ends_where_the_webhook_is_turned_off(webhook, since, monkeypatch):
    monkeypatch.setattr(resending, "LONGEST_AT_ONCE", 0.0)
    resend_failed(webhook, since=since, up_to=what_failed(webhook, since).up_to)
    turn_off(webhook=webhook)
    assert carry_on() == 0
    assert not ResendOrder.objects.exists()
    with pytest.raises(WebhookIsOff):
        resend_failed(fresh(webhook), since=since, up_to=what_failed(webhook, since).up_to)
