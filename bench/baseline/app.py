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


@app.task(autoretry_for=(requests.RequestException,), default_retry_delay=5, max_retries=10)
def deliver(delivery_id: int) -> None:
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
    response = requests.post(delivery.url, data=body, headers=headers, timeout=15)
    PlainLog.objects.create(
        delivery=delivery,
        request_headers=headers,
        status=response.status_code,
        response_body=response.text[:2000],
        milliseconds=(time.monotonic() - began) * 1000,
    )
    delivery.status = "delivered" if response.ok else "failed"
    delivery.save(update_fields=["status"])
