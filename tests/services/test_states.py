"""The endpoint's states with real worker processes on PostgreSQL and Redis."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from apikeys.operations import activate_key, deactivate_key
from leads.models import Lead, User
from tests.processes import Answer, Received, Receiver, wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, states
from webhooks.delivery.clock import database_now
from webhooks.models import Attempt, Delivery, EndpointState, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


@pytest.fixture
def other_receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def all_settled() -> bool:
    return not Delivery.objects.filter(state="waiting").exists()


def lead_and_version(received: Received) -> tuple[int, int]:
    lead = json.loads(received.body)["data"]["lead"]
    return lead["id"], lead["version"]


def outage(receiver: Receiver) -> Callable[[], None]:
    """Answers 500 until the function that it gives is called; `receiver.taken` holds what came after."""
    over = threading.Event()
    receiver.taken = []

    def script(received: Received) -> Answer:
        if not over.is_set():
            return Answer(status=500)
        receiver.taken.append(received)
        return Answer()

    receiver.answer_by(script)
    return over.set


def change(leads: list[Lead], times: int) -> None:
    for number in range(times):
        for lead in leads:
            lead.last_name = f"Rao {number}"
            lead.save()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_leads_in_order_through_an_outage(start_worker, receiver, workers):
    webhook = new_webhook(receiver.url)
    end = outage(receiver)
    for _ in range(workers):
        start_worker()
    leads = [new_lead(number) for number in range(100)]
    change(leads, 2)
    wait_until(lambda: EndpointState.objects.get().health == "down")
    change(leads, 1)
    wait_until(lambda: EndpointState.objects.get().probes >= 1)
    # One delivery at a time is its probe, after 5 s and then 10 s: what waits is left alone.
    requests = len(receiver.requests)
    assert requests <= 5 + 3 * workers
    assert Delivery.objects.filter(attempts__gt=0).count() <= 5 + 3 * workers
    end()
    wait_until(all_settled, seconds=30)
    assert Counter(states(webhook)) == {"delivered": 400}
    versions: dict[int, list[int]] = {}
    for received in receiver.taken:
        lead, version = lead_and_version(received)
        versions.setdefault(lead, []).append(version)
    assert versions == {lead.pk: [1, 2, 3, 4] for lead in leads}
    state = EndpointState.objects.get()
    assert (state.health, state.failures_in_a_row, state.probes) == ("healthy", 0, 0)


def test_an_outage_outlives_the_worker_that_saw_it_begin(start_worker, receiver):
    webhook = new_webhook(receiver.url)
    end = outage(receiver)
    worker = start_worker()
    leads = [new_lead(number) for number in range(10)]
    change(leads, 2)
    wait_until(lambda: EndpointState.objects.get().health == "down")
    worker.kill()
    requests = len(receiver.requests)
    start_worker()
    wait_until(lambda: len(receiver.requests) > requests)
    time.sleep(1.0)
    assert len(receiver.requests) == requests + 1
    end()
    wait_until(all_settled, seconds=40)
    assert Counter(states(webhook)) == {"delivered": 30}
    assert [lead_and_version(received)[1] for received in receiver.taken].count(3) == 10


def test_retry_after_holds_through_a_change_of_workers_and_holds_nobody_else(
    start_worker, receiver, other_receiver
):
    webhook = new_webhook(receiver.url)
    other = new_webhook(other_receiver.url, key=new_key("Looker"))
    receiver.answer_next(Answer(status=429, headers={"Retry-After": "6"}))
    worker = start_worker()
    new_lead(1), new_lead(2)
    asked = receiver.wait_for(1)[0].at
    other_receiver.wait_for(2, seconds=3)
    wait_until(lambda: EndpointState.objects.get(webhook=webhook).held_until is not None)
    worker.stop()
    start_worker()
    assert receiver.wait_for(3)[1].at - asked >= 5.95
    wait_until(all_settled)
    assert states(webhook) == states(other) == ["delivered", "delivered"]


def test_a_rate_limit_holds_with_two_workers_and_a_kill(start_worker, receiver):
    webhook = new_webhook(receiver.url, rate_limit=120)
    first = start_worker()
    start_worker()
    for number in range(24):
        new_lead(number)
    receiver.wait_for(5)
    first.kill()
    received = receiver.wait_for(24, seconds=40)
    wait_until(all_settled)
    # Starts are half a second apart, also across the kill; arrivals jitter.
    for earlier, later in zip(received, received[10:], strict=False):
        assert later.at - earlier.at > 10 * 0.5 - 0.4
    assert Counter(states(webhook)) == {"delivered": 24}


def test_an_expired_or_deactivated_keys_deliveries_go_out_in_order_when_it_is_back(celery_worker, receiver):
    key = new_key()
    webhook = new_webhook(receiver.url, key=key)
    deactivate_key(key=key)
    leads = [new_lead(number) for number in range(5)]
    change(leads, 2)
    receiver.stays_at(0, seconds=3.0)
    assert states(webhook) == ["waiting"] * 15
    activate_key(key=key)
    receiver.wait_for(15)
    wait_until(all_settled)
    seen: dict[int, list[int]] = {}
    for received in receiver.requests:
        lead, version = lead_and_version(received)
        seen.setdefault(lead, []).append(version)
    assert seen == {lead.pk: [1, 2, 3] for lead in leads}


def test_five_days_of_failures_end_in_off_and_a_notice(start_worker, receiver, tmp_path):
    User.objects.create(username="asha", email="asha@example.com", role="company_admin")
    webhook = new_webhook(receiver.url)
    receiver.answer_by(lambda _: Answer(status=500))
    new_lead(1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_delivery SET first_attempt_at = now() - interval '25 hours'")
        cursor.execute("UPDATE webhooks_endpointstate SET failing_since = now() - interval '121 hours'")
    worker = start_worker(
        EMAIL_BACKEND="django.core.mail.backends.filebased.EmailBackend",
        EMAIL_FILE_PATH=str(tmp_path / "mail"),
    )
    wait_until(lambda: not Webhook.objects.get().active)
    wait_until(lambda: EndpointState.objects.get().notice_due_at is None)
    [message] = (tmp_path / "mail").iterdir()
    assert "To: asha@example.com" in message.read_text()
    assert f"Webhook {webhook.pk} was turned off: failing" in worker.output
    assert states(webhook) == ["missed"] and Webhook.objects.get().off_since == 1
    new_lead(2)
    receiver.stays_at(1, seconds=2.5)
    assert Delivery.objects.count() == 1


def test_a_poisoned_event_holds_nobody_back_and_the_time_is_the_databases(celery_worker, receiver):
    webhook = new_webhook(receiver.url)
    poisoned = new_lead(1)
    change([poisoned], 2)

    def script(received: Received) -> Answer:
        return Answer(status=400 if lead_and_version(received) == (poisoned.pk, 1) else 200)

    receiver.answer_by(script)
    new_lead(2)
    first = Delivery.objects.filter(lead_id=poisoned.pk).earliest("id")
    wait_until(lambda: Delivery.objects.get(pk=first.pk).overtaken_since is not None, seconds=20)
    assert Delivery.objects.filter(lead_id=poisoned.pk, state="delivered").count() == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_delivery SET overtaken_since = overtaken_since - interval '10 minutes'"
        )
    new_lead(3)
    wait_until(
        lambda: Delivery.objects.filter(lead_id=poisoned.pk, state="delivered").count() == 2, seconds=20
    )
    stepped_aside = Delivery.objects.get(pk=first.pk)
    assert stepped_aside.state == "waiting" and stepped_aside.next_attempt_at > database_now()
    assert Attempt.objects.filter(delivery=first).count() == stepped_aside.attempts
    assert Counter(states(webhook))["delivered"] == 4
