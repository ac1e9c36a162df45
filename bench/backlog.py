"""Deliveries for the engine to carry out, made in bulk: webhooks, their rows, and the wait until all are recorded."""

import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import orjson
from django.db import connection, transaction
from django.utils import timezone

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from calliyo.fields import whole_milliseconds
from calliyo.publisher import poke_webhooks
from webhooks.models import Attempt, Delivery, DeliveryState, EndpointState, Event, Webhook
from webhooks.operations import subscribe

PATIENCE = 300.0
TYPE = "lead.updated"
CHUNK = 5000
BETWEEN_LOOKS = 0.05
"""Seconds: asked more often, whether all is done costs the database a tenth of what is measured."""


def new_webhooks(address: str, kind: str, count: int) -> list[Webhook]:
    """So many webhooks of one key with every scope, each with a secret, to `kind` of the fast receiver."""
    name = f"Bench of {kind}"
    key = APIKey.objects.filter(name=name).first() or create_api_key(name=name, scopes=list(Scope)).key
    return [
        subscribe(api_key=key, url=f"{address}/{kind}/{number}", events=[TYPE], secret="generate")  # noqa: S106
        for number in range(count)
    ]


def payload(number: int) -> str:
    """A body as a real one is, about a kilobyte."""
    status = {"id": 4, "name": "Interested"}
    lead = {
        "id": number,
        "version": 7,
        "first_name": "Asha",
        "last_name": "Verma",
        "phone": f"+9198{number:08d}",
        "email": f"asha{number}@example.com",
        "status": status,
        "owner_id": 12,
        "campaign_id": 3,
        "source": "website",
        "tags": ["hot", "delhi"],
        "external_id": None,
        "created_at": "2026-11-20T09:12:44.120Z",
        "updated_at": "2026-11-24T22:48:22.123Z",
        "converted_at": None,
    }
    changes = {
        "status": {"from": {"id": 2, "name": "Contacted"}, "to": status},
        "tags": {"from": ["delhi"], "to": lead["tags"]},
    }
    body = {
        "id": f"evt_{uuid.uuid4().hex}",
        "type": TYPE,
        "timestamp": "2026-11-24T22:48:22.130Z",
        "api_version": "2026-11-01",
        "actor": {"type": "user", "id": 12, "name": "Ravi Kumar", "request_id": uuid.uuid4().hex},
        "data": {"lead": lead, "changes": changes},
    }
    return orjson.dumps(body).decode()


def queue(
    webhooks: Sequence[Webhook], count: int, *, leads: int | None = None, first_lead: int = 1
) -> list[int]:
    """`count` deliveries spread over the webhooks, in one commit; their ids. Each event goes to all of them.

    The events are those of `leads` leads in turn, each of another one if that is not given.
    """
    events = -(-count // len(webhooks))
    now = whole_milliseconds(timezone.now())
    ids: list[int] = []
    with transaction.atomic():
        for start in range(0, events, CHUNK):
            made = Event.objects.bulk_create(
                [
                    Event(
                        uid=uuid.uuid4(),
                        type=TYPE,
                        lead_id=first_lead + number % (leads or events),
                        payload=payload(number),
                        created_at=now,
                    )
                    for number in range(start, min(start + CHUNK, events))
                ]
            )
            rows = [
                Delivery(
                    webhook=hook,
                    event=event,
                    type=TYPE,
                    lead_id=event.lead_id,
                    created_at=now,
                    next_attempt_at=now,
                )
                for event in made
                for hook in webhooks
            ][: count - len(ids)]
            ids += [row.pk for row in Delivery.objects.bulk_create(rows, batch_size=CHUNK)]
    return ids


def analyze() -> None:
    """Tells PostgreSQL what is in the tables now, as its autovacuum does within a minute."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE webhooks_event, webhooks_delivery")


def carried_out(webhooks: Sequence[Webhook], count: int) -> float:
    """Queues so many and waits until the last is recorded; deliveries a second."""
    queue_held(webhooks, count)
    return count / seconds_to_settle(webhooks)


def queue_held(webhooks: Sequence[Webhook], count: int) -> None:
    """Queues so many, which nobody sends yet: a sweep would begin while a long table is analyzed."""
    EndpointState.objects.filter(webhook__in=webhooks).update(
        paused_until=timezone.now() + timedelta(hours=1)
    )
    queue(webhooks, count)
    analyze()


def seconds_to_settle(webhooks: Sequence[Webhook]) -> float:
    """Lets what was held be sent; how long it takes until the last is recorded."""
    before = time.perf_counter()
    EndpointState.objects.filter(webhook__in=webhooks).update(paused_until=None)
    poke_webhooks([webhook.pk for webhook in webhooks])
    wait_until_settled(webhooks)
    return time.perf_counter() - before


def wait_until_settled(webhooks: Sequence[Webhook]) -> None:
    """Until nothing waits for them; raises when that takes too long."""
    until = time.monotonic() + PATIENCE
    with _by_index():
        for webhook in webhooks:  # one after another: nothing more is queued for those that are done
            waiting = Delivery.objects.filter(webhook_id=webhook.pk, state=DeliveryState.WAITING)
            while waiting.exists():
                if time.monotonic() > until:
                    raise RuntimeError(f"{waiting.count()} deliveries still wait after {PATIENCE:.0f} s.")
                time.sleep(BETWEEN_LOOKS)


@contextmanager
def _by_index() -> Iterator[None]:
    """A short table would be read as a whole each time: asking whether all is done would cost what is measured."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        yield
        cursor.execute("RESET enable_seqscan")


def forget() -> None:
    """Empties the log, so that the next measurement begins alike."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE webhooks_attempt, webhooks_delivery, webhooks_event")
        return
    for model in (Attempt, Delivery, Event):
        model.objects.all().delete()


def wait_for_receiver(address: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            taken_arrivals(address)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("The receiver never listened.")


def taken_arrivals(address: str) -> dict[int, float]:
    """When each delivery to `/timed/…` arrived, since the last time that this was asked."""
    with urllib.request.urlopen(f"{address}/", timeout=30) as response:  # noqa: S310 (our own receiver)
        return {int(delivery): at for delivery, at in orjson.loads(response.read()).items()}
