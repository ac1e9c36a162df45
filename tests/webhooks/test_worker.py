"""The engine in a real Celery worker, on this test's database and broker, whichever those are."""

import time

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from tests.processes import wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, states
from webhooks.delivery import worker
from webhooks.models import Delivery, EndpointState
from webhooks.operations import reveal_secret
from webhooks.tasks import clean_up, poke


@pytest.mark.django_db(transaction=True)
def test_a_committed_lead_arrives_signed_within_a_second_and_after_a_kill_too(start_worker, receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    secret = reveal_secret(webhook)
    first = start_worker()
    for number in range(1, 5):
        before = time.time()
        lead = new_lead(number)
        received = receiver.wait_for(number)[-1]
        assert number == 1 or received.at - before < 1.0  # the first one opens connections
        assert Verifier(secret).verify(received.body, received.headers)["data"]["lead"]["id"] == lead.pk
    first.kill()
    new_lead(5)
    start_worker()
    assert Verifier(secret).verify((last := receiver.wait_for(5)[-1]).body, last.headers)
    wait_until(lambda: not Delivery.objects.filter(state="waiting").exists())
    assert states(webhook) == ["delivered"] * 5


@pytest.mark.django_db(transaction=True)
def test_the_engine_of_a_process_is_started_once_poked_by_the_task_and_stopped(receiver):
    webhook = new_webhook(receiver.url)
    poke([webhook.pk])  # no engine here: nothing happens
    worker.start_engine()
    engine = worker._engine
    try:
        worker.start_engine()
        assert worker._engine is engine
        new_lead()
        poke([webhook.pk])
        receiver.wait_for(1)
    finally:
        worker.stop_engine()
    worker.stop_engine()
    assert worker._engine is None and EndpointState.objects.get().leased_until is None
    assert states(webhook) == ["delivered"]


@pytest.mark.django_db
def test_the_clean_up_runs_on_an_empty_database_and_again(receiver):
    clean_up()
    new_webhook(receiver.url, key=new_key())
    clean_up()
