"""The baseline's Celery app: `python -m celery --app bench.baseline.app worker`."""

import os
import time

import django
import requests
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calliyo.settings")
django.setup()

from bench.baseline.models import PlainDelivery, PlainLog  # noqa: E402  # models exist only after the setup
from webhooks.signing import signature_headers  # noqa: E402

QUEUE = "baseline"

app = Celery("baseline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = QUEUE
app.conf.task_ignore_result = True


@app.task(bind=True, max_retries=10)  # type: ignore[untyped-decorator]  # celery's stubs say nothing of it
def deliver(self, delivery_id: int) -> None:  # type: ignore[no-untyped-def]  # a task's self is Celery's own
    delivery = PlainDelivery.objects.get(pk=delivery_id)
    body = delivery.payload.encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Event": delivery.event_type,
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        **signature_headers(
            [delivery.secret], message_id=delivery.message_id, timestamp=timestamp, body=body
        ),
    }
    began = time.monotonic()
    try:
        response = requests.post(delivery.url, data=body, headers=headers, timeout=15)
    except requests.RequestException as error:
        raise self.retry(exc=error, countdown=5) from error
    PlainLog.objects.create(
        delivery=delivery,
        request_headers=headers,
        status=response.status_code,
        response_body=response.text[:2000],
        milliseconds=(time.monotonic() - began) * 1000,
    )
    delivery.status = "delivered" if response.ok else "failed"
    delivery.save(update_fields=["status"])
