"""The demo's API keys and webhooks, made by the same operations as a person's: what the Settings page shows at once.

Nothing of it ever leaves this machine: the webhooks point at reserved names (`.example`) and are off, or their key is
deactivated; the tokens are forgotten as soon as they are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apikeys.models import APIKey, AuditEntry
from apikeys.operations import create_api_key, deactivate_key, set_scopes
from apikeys.scopes import Scope
from calliyo.actor import Actor, acting_as
from calliyo.management.demo.deliveries import write_log, write_waiting
from calliyo.management.demo.traffic import Traffic, write_traffic
from calliyo.unit_of_work import unit_of_work
from webhooks.catalogue import EventType
from webhooks.models import Webhook
from webhooks.operations import subscribe, turn_off

# A key that anybody makes while following the product page must not find its name taken.
ZOHO, DASHBOARD, FORM, DIALLER = (
    *("Demo: Zoho CRM", "Demo: Sales dashboard"),
    *("Demo: Website form", "Demo: Old dialler"),
)
_ZOHO_HAS = (Scope.LEADS_READ, Scope.LEADS_WRITE, Scope.LEAD_STATUSES_READ, Scope.TAGS_READ)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How many of each were made."""

    api_keys: int = 0
    webhooks: int = 0
    deliveries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A key of the demo with its one webhook, if any (URL, events, whether it signs), how old it is, what it did."""

    name: str
    scopes: Sequence[Scope]
    age: timedelta
    traffic: Traffic
    webhook: tuple[str, Sequence[EventType], bool] | None = None


# The oldest first, as the audit has it.
_WANTED = (
    _Wanted(
        name=DIALLER,
        scopes=[Scope.LEADS_READ, Scope.CALLS_READ],
        age=190 * _DAY,
        traffic=Traffic(address="192.0.2.80", idle=22 * _DAY),
        # Adding leads fires no such event: however many the demo has, few deliveries wait for this key.
        webhook=("https://dialler.hooks.example/events", [EventType.LEAD_STATUS_CHANGED], False),
    ),
    _Wanted(
        name=ZOHO,
        scopes=[*_ZOHO_HAS, Scope.CALLS_READ],
        age=74 * _DAY,
        traffic=Traffic(
            address="203.0.113.7",
            idle=timedelta(minutes=3),
            calls=(("leads", "read", 610), ("leads", "write", 140), ("tags", "read", 24)),
            mistakes=9,
            refused=5,
            by_hour=(2, 1, 1, 1, 2, 4, 9, 18, 31, 44, 47, 41, 33, 38, 46, 51, 48, 39, 27, 16, 9, 6, 4, 3),
        ),
        webhook=(
            "https://zoho.hooks.example/calliyo",
            [
                *(EventType.LEAD_CREATED, EventType.LEAD_UPDATED, EventType.LEAD_STATUS_CHANGED),
                *(EventType.LEAD_CONVERTED, EventType.CALL_COMPLETED),
            ],
            True,
        ),
    ),
    _Wanted(
        name=DASHBOARD,
        scopes=[scope for scope in Scope if scope.endswith(":read")],
        age=51 * _DAY,
        traffic=Traffic(
            address="198.51.100.20",
            idle=timedelta(minutes=41),
            calls=(("leads", "read", 72), ("calls", "read", 48), ("customers", "read", 24)),
            by_hour=tuple(36 if hour % 6 == 2 else 0 for hour in range(24)),
        ),
    ),
    _Wanted(
        name=FORM,
        scopes=[Scope.LEADS_WRITE],
        age=33 * _DAY,
        traffic=Traffic(
            address="192.0.2.14",
            idle=timedelta(minutes=17),
            calls=(("leads", "write", 38),),
            mistakes=4,
            by_hour=(0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 3, 2, 2, 3, 2, 3, 4, 3, 2, 1, 1, 1, 0, 0),
        ),
    ),
)


@unit_of_work
def write_integrations(*, by: Actor, phones: Sequence[str], now: datetime) -> Made:
    """The keys that were never made here, with their webhooks; their log tells of the leads with these phones."""
    with acting_as(by):
        new = {wanted.name: _make(wanted, now) for wanted in _WANTED if not _was_made(wanted.name)}
        deliveries = 0
        for name, live_on in _LATER.items():
            if name in new:
                deliveries += live_on(new[name], phones, now)
    webhooks = Webhook.objects.filter(api_key__in=new.values()).count()
    return Made(api_keys=len(new), webhooks=webhooks, deliveries=deliveries)


def _was_made(name: str) -> bool:
    """Whether there is or was such a key: one that somebody renamed or deleted does not come back."""
    made_before = AuditEntry.objects.filter(action="api_key.created", api_key_name=name)
    return made_before.exists() or APIKey.objects.filter(name__iexact=name).exists()


def _make(wanted: _Wanted, now: datetime) -> APIKey:
    key = create_api_key(name=wanted.name, scopes=wanted.scopes).key
    if wanted.webhook is not None:
        url, events, signs = wanted.webhook
        subscribe(api_key=key, url=url, events=events, secret="generate" if signs else None)
    write_traffic(key, wanted.traffic, now)
    at = now - wanted.age
    APIKey.objects.filter(pk=key.pk).update(created_at=at)
    Webhook.objects.filter(api_key=key).update(created_at=at)
    _date_audit(key, at)
    return key


def _live_on_as_zoho(key: APIKey, phones: Sequence[str], now: datetime) -> int:
    """A busy webhook with one of each outcome: its key has lost a scope, and it is off since just now."""
    set_scopes(key=key, scopes=_ZOHO_HAS)
    _date_audit(key, now - 9 * _DAY, "api_key.scopes_changed")
    webhook = _webhook_of(key)
    written = write_log(webhook, phones, now=now)
    turn_off(webhook=webhook)
    return written


def _live_on_as_dialler(key: APIKey, phones: Sequence[str], now: datetime) -> int:
    """A webhook whose deliveries wait, since its key is deactivated."""
    deactivate_key(key=key)
    _date_audit(key, now - 21 * _DAY, "api_key.deactivated")
    return write_waiting(_webhook_of(key), phones, now=now)


_LATER: dict[str, Callable[[APIKey, Sequence[str], datetime], int]] = {
    DIALLER: _live_on_as_dialler,
    ZOHO: _live_on_as_zoho,
}


def _webhook_of(key: APIKey) -> Webhook:
    return Webhook.objects.select_related("api_key").get(api_key=key)


def _date_audit(key: APIKey, at: datetime, *actions: str) -> None:
    """Lets the audit of a key that was made just now tell when its story says that it happened."""
    lines = AuditEntry.objects.filter(api_key_id=key.pk)
    (lines.filter(action__in=actions) if actions else lines).update(at=at)
