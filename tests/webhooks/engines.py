"""What the engine's tests share: keys, webhooks, and engines in this process with real threads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from leads.models import Lead, LeadStatus
from webhooks.catalogue import EventType
from webhooks.delivery.addresses import reach_of
from webhooks.delivery.claim import Parcel
from webhooks.delivery.clock import database_now
from webhooks.delivery.engine import Engine
from webhooks.delivery.probe import Probe
from webhooks.delivery.send import Sender
from webhooks.models import Delivery, EndpointState, Webhook
from webhooks.operations import subscribe

ALL_EVENTS = [event.value for event in EventType]
READ_ALL = [scope.value for scope in Scope if scope.value.endswith(":read")]
FAST = (0.0, 0.1, 0.1, 0.1)


def new_key(name: str = "Zoho production", scopes: Sequence[str] = READ_ALL) -> APIKey:
    return create_api_key(name=name, scopes=scopes).key


def new_webhook(url: str, *, key: APIKey | None = None, **options: Any) -> Webhook:
    options.setdefault("events", ["lead.created", "lead.updated"])
    return subscribe(api_key=key or new_key(), url=url, **options)


def new_lead(number: int = 1, **values: Any) -> Lead:
    # A test with real transactions begins on an empty database.
    status, _ = LeadStatus.objects.get_or_create(role="unassigned", defaults={"name": "Unassigned"})
    return Lead.objects.create(
        **{"first_name": "Asha", "phone": f"+9198000{number:05d}", "status": status, **values}
    )


def changed(lead: Lead, times: int) -> Lead:
    """The lead, saved so many times with another name."""
    for number in range(times):
        lead.last_name = f"Rao {number}"
        lead.save()
    return lead


def parcel(number: int, probe: Probe | None = None) -> Parcel:
    """What is to be sent of a lead of its own; all numbers of it are one."""
    return Parcel(
        delivery_id=number, lane=number, lead_id=number, sequence=number, attempts=0,
        event_type="lead.created", message_id="evt_1", body=b"{}", probe=probe,
    )  # fmt: skip


def end_overlap(webhook: Webhook, *, which: int = 0) -> None:
    """Has one of its earlier secrets (0: the newest) end a second ago."""
    webhook.refresh_from_db()
    over = (database_now() - timedelta(seconds=1)).isoformat(timespec="milliseconds")
    webhook.previous_secrets[which]["until"] = over
    webhook.save(update_fields=["previous_secrets"])


def states(webhook: Webhook) -> list[str]:
    return list(Delivery.objects.filter(webhook_id=webhook.pk).order_by("id").values_list("state", flat=True))


def state() -> EndpointState:
    """The state of the only endpoint."""
    return EndpointState.objects.get()


def all_settled() -> bool:
    return not Delivery.objects.filter(state="waiting").exists()


def new_sender(timeout: float = 2.0) -> Sender:
    return Sender(reach=reach_of([ip_network("127.0.0.0/8")], []), timeout=timeout)


@contextmanager
def running_engine(
    schedule: Sequence[float] = FAST, timeout: float = 2.0, sender: Sender | None = None
) -> Iterator[Engine]:
    engine = Engine(sender=sender or new_sender(timeout), schedule=schedule)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(10.0)
        assert not engine._main.is_alive()
