"""A webhook, or its key, is deleted in the middle of its endpoint's outage."""

import time

import pytest

from apikeys.operations import delete_key
from tests.processes import Answer, Received, wait_until
from tests.services.breaking import SOON, Writers, assert_all_arrived, changing
from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.models import Attempt, Delivery, EndpointState, Webhook
from webhooks.operations import delete_webhook
from webhooks.tasks import clean_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

RUN = 1.0
"""So long a worker may believe what it read of a webhook: one request may begin in it."""


@pytest.mark.parametrize("what", ["webhook", "key"])
def test_what_is_deleted_while_it_is_down_leaves_nothing_behind_and_its_neighbours_get_everything(
    start_worker, receiver, what
):
    key, other_key = new_key("Zoho"), new_key("Looker")
    doomed = new_webhook(f"{receiver.url}/doomed", key=key)
    neighbours = [new_webhook(f"{receiver.url}/other", key=other_key)]
    if what == "webhook":
        neighbours.append(new_webhook(f"{receiver.url}/same", key=key))

    def script(received: Received) -> Answer:
        return Answer(status=500, delay=0.5) if received.path.endswith("/doomed") else Answer()

    receiver.answer_by(script)
    workers = [start_worker(CALLIYO_WEBHOOK_RETRY_SCHEDULE=SOON) for _ in range(2)]
    leads = [new_lead(number) for number in range(6)]
    writers = Writers(changing(leads, 1), changing(leads, 2))
    wait_until(lambda: EndpointState.objects.get(webhook=doomed).health == "down", seconds=30)
    asked = sum(received.path.endswith("/doomed") for received in receiver.requests)
    wait_until(
        lambda: sum(received.path.endswith("/doomed") for received in receiver.requests) > asked, seconds=20
    )
    # One request is under way: its outcome comes when nothing of the webhook is there any more.
    if what == "webhook":
        delete_webhook(webhook=doomed)
    else:
        delete_key(key=key)
    deleted_at = time.time()
    assert Delivery.objects.filter(webhook_id=doomed.pk, state="waiting").count() > 10
    time.sleep(2.0)
    writers.stop()
    clean_up.delay()
    wait_until(lambda: not Delivery.objects.filter(webhook_id=doomed.pk).exists(), seconds=30)
    assert_all_arrived(receiver, webhooks=neighbours)
    late = [
        received.at - deleted_at
        for received in receiver.requests
        if received.path.endswith("/doomed") and received.at > deleted_at
    ]
    assert len(late) <= 1 and max(late, default=0) < RUN
    time.sleep(3.0)  # a sweep and more: nothing of it comes back
    assert not Webhook.objects.filter(pk=doomed.pk).exists()
    assert not EndpointState.objects.exclude(webhook__in=neighbours).exists()
    assert not Delivery.objects.exclude(webhook__in=neighbours).exists()
    assert not Attempt.objects.exclude(delivery__in=Delivery.objects.all()).exists()
    for worker in workers:
        assert worker.popen.poll() is None and "Traceback" not in worker.output
