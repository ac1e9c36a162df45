"""What people and keys do with webhooks: each a unit of work, each written into the audit, no secret in either log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from django.utils.translation import gettext
from uuid_utils.compat import uuid7

from apikeys.audit import record as audit
from apikeys.models import APIKey
from calliyo.actor import SYSTEM, ActorType, acting_as, current_actor
from calliyo.unit_of_work import current_unit, unit_of_work
from leads.models import Deletion
from leads.pictures import moment
from webhooks import rotation, secrets
from webhooks.body import body_for
from webhooks.catalogue import EventType
from webhooks.delivery.clock import database_now
from webhooks.delivery.configured import configured_sender
from webhooks.delivery.endpoint import clean_slate
from webhooks.delivery.result import AttemptResult
from webhooks.delivery.sequence import latest_position
from webhooks.delivery.target import HIDDEN, opened_headers, target_of
from webhooks.missed import missed_events
from webhooks.models import Delivery, DeliveryState, EndpointState, OffReason, Ordering, Webhook
from webhooks.rotation import EarlierSecret
from webhooks.samples import sample_payload
from webhooks.secrets import UndecryptableSecret
from webhooks.validation import (
    GENERATE,
    InvalidSubscription,
    checked_events,
    checked_headers,
    checked_ordering,
    checked_rate_limit,
    checked_secret,
    checked_url,
)

DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)
TEST_DELIVERY = "test"


@unit_of_work
def subscribe(  # noqa: PLR0913 (a webhook has so many parts)
    *,
    api_key: APIKey,
    url: str,
    events: Iterable[str],
    secret: str | None = None,
    ordering: str = Ordering.PER_LEAD,
    skip_own: bool = False,
    headers: Mapping[str, str] | None = None,
    rate_limit: int | None = None,
    active: bool = True,
) -> Webhook:
    """A new webhook of `api_key`. `secret`: None for none, `generate`, or the text that a person typed.

    Raises `InvalidUrl`, `InvalidSecret`, `MissingEventScope` and `InvalidSubscription`, each with its field.
    """
    actor = current_actor()
    now = _stamp()
    kept_secret, kept_headers = checked_secret(secret), checked_headers(headers)
    webhook = Webhook(
        api_key=api_key,
        url=checked_url(url),
        events=checked_events(events, api_key),
        secret=secrets.encrypt(kept_secret) if kept_secret else "",
        headers=_encrypted(kept_headers),
        ordering=checked_ordering(ordering),
        skip_own=skip_own,
        rate_limit=checked_rate_limit(rate_limit),
        created_by_type=actor.type,
        created_by_id=actor.id,
        created_by_name=actor.name or "",
        created_at=now,
        updated_at=now,
    )
    if not active:
        _set_off(webhook, OffReason.BY_HAND, now)
    webhook.save(force_insert=True)
    EndpointState.objects.create(webhook=webhook)
    _audit(webhook, "webhook.created", active=active, **_told(webhook))
    return webhook


@unit_of_work
def change_webhook(*, webhook: Webhook, **changes: Any) -> Webhook:
    """Changes what is named: `url`, `events`, `secret`, `ordering`, `skip_own`, `headers`, `rate_limit`, `active`.

    A new secret holds at once; `rotate_secret` lets the old one sign too for a while.
    """
    webhook = _locked(webhook.pk)
    switch = changes.pop("active", None)
    before = _told(webhook)
    for name, value in changes.items():
        _change(webhook, name, value)
    if changes:
        _save(webhook)
        told = _told(webhook)
        differences = {
            name: {"from": before[name], "to": told[name]} for name in told if told[name] != before[name]
        }
        _audit(webhook, "webhook.changed", fields=sorted(changes), **differences)
    if switch is not None and switch != webhook.active:
        return turn_on(webhook=webhook) if switch else turn_off(webhook=webhook)
    return webhook


@unit_of_work
def rotate_secret(
    *, webhook: Webhook, secret: str = GENERATE, overlap: timedelta = DEFAULT_OVERLAP
) -> Webhook:
    """A new secret; the one before signs too until `overlap` (0 to 7 days) is over, those before it until theirs is.

    Without an overlap only the new one signs from now on. Raises `InvalidSubscription`, also where so many earlier
    ones sign that another would be too many: none of them ends before the time that was promised.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidSubscription(gettext("An overlap is 0 to 7 days."), field="overlap")
    new = checked_secret(secret)
    if new is None:
        raise InvalidSubscription(gettext("A rotation needs a new secret."), field="secret")
    webhook = _locked(webhook.pk)
    had_secret = bool(webhook.secret)
    _let_go_if_undecryptable(webhook)
    rotation.keep(webhook, _overlapping(webhook, overlap) if overlap else [])
    webhook.secret = secrets.encrypt(new)
    _save(webhook)
    _audit(webhook, "webhook.secret_rotated", had_secret=had_secret, until=webhook.previous_secret_until)
    return webhook


@unit_of_work
def delete_webhook(*, webhook: Webhook) -> None:
    """Deletes it, for good: nothing is sent from now on; its deliveries go in batches, by a task."""
    webhook = _locked(webhook.pk)
    _audit(webhook, "webhook.deleted", **_told(webhook))
    if webhook.created_by_type == ActorType.API_KEY and webhook.created_by_id == webhook.api_key_id:
        Deletion.note(deletions_of(webhook.api_key_id), [webhook.pk], _stamp())
    webhook.delete()


def deletions_of(api_key_id: int) -> str:
    """Under which name what is gone of the webhooks that this key made for itself is noted."""
    return f"webhooks-{api_key_id}"


@unit_of_work
def turn_on(*, webhook: Webhook) -> Webhook:
    """Queues events again from now on, with a clean slate for its endpoint. Doing it twice changes nothing."""
    webhook = _locked(webhook.pk)
    if webhook.active:
        return webhook
    webhook.active, webhook.off_reason, webhook.off_at = True, "", None
    webhook.on_since = latest_position()
    _save(webhook)
    EndpointState.objects.filter(webhook=webhook).update(**clean_slate(), notice_due_at=None)
    _audit(webhook, "webhook.turned_on")
    return webhook


@unit_of_work
def turn_off(*, webhook: Webhook, reason: OffReason = OffReason.BY_HAND) -> Webhook:
    """Queues nothing more; what waits becomes `missed`. Doing it twice changes nothing."""
    webhook = _locked(webhook.pk)
    if webhook.active:
        now = database_now()
        _set_off(webhook, reason, now)
        _save(webhook)
        missed = Delivery.objects.filter(webhook=webhook, state=DeliveryState.WAITING).update(
            state=DeliveryState.MISSED, finished_at=now, next_attempt_at=None
        )
        _audit(webhook, "webhook.turned_off", reason=reason.value, missed=missed)
    return webhook


@unit_of_work
def give_up(webhook_id: int, reason: OffReason) -> bool:
    """Turns a webhook off because of its endpoint, and owes staff a notice; False where it is off or gone already."""
    webhook = Webhook.objects.filter(pk=webhook_id, active=True).first()
    if webhook is None:
        return False
    with acting_as(SYSTEM):
        turn_off(webhook=webhook, reason=reason)
    EndpointState.objects.filter(webhook=webhook).update(notice_due_at=database_now())
    return True


@unit_of_work
def reveal_secret(webhook: Webhook) -> str | None:
    """The secret in the clear, None where there is none; raises `UndecryptableSecret`."""
    if not webhook.secret:
        return None
    secret = secrets.decrypt(webhook.secret)
    _audit(webhook, "webhook.secret_revealed")
    return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSample:
    """A test event as it was sent, a person's own headers hidden, and what came back."""

    headers: Mapping[str, str]
    body: bytes
    result: AttemptResult


def send_test_event(*, webhook: Webhook, event_type: str = EventType.LEAD_CREATED) -> AttemptResult:
    """As `run_test_event`, for those who need the answer only."""
    return run_test_event(webhook=webhook, event_type=event_type).result


def run_test_event(*, webhook: Webhook, event_type: str = EventType.LEAD_CREATED) -> SentSample:
    """Sends one signed sample to the endpoint now and waits for its answer. Not in a unit of work: it takes time.

    Raises `MissingEventScope`, `InvalidSubscription` and `UndecryptableSecret`.
    """
    [event] = checked_events([event_type], webhook.api_key)
    now = database_now()
    target = target_of(webhook, now)
    uid: UUID = uuid7()
    payload = sample_payload(EventType(event), uid=uid, at=now)
    body = body_for(payload, scopes=target.scopes, external_id=None).encode()
    headers = target.request_headers(
        event_type=event, message_id=f"evt_{uid.hex}", delivery=TEST_DELIVERY, sequence=None, body=body
    )
    sender = configured_sender()
    try:
        result = sender.send(webhook.url, headers=headers, body=body)
        shown = sender.framing(webhook.url, body) | target.shown(headers)
    finally:
        sender.close()
    _audit(webhook, "webhook.tested", event=event, status=result.status, succeeded=result.succeeded)
    return SentSample(headers=shown, body=body, result=result)


def _locked(webhook_id: int) -> Webhook:
    webhooks = Webhook.objects.select_related("api_key").select_for_update(of=("self",), no_key=True)
    return webhooks.get(pk=webhook_id)


def _save(webhook: Webhook) -> None:
    webhook.version += 1
    webhook.updated_at = _stamp()
    webhook.save()


def _stamp() -> datetime:
    """The running unit's moment, by which those who sync find what it wrote."""
    unit = current_unit()
    return database_now() if unit is None else unit.stamp()


def _told(webhook: Webhook) -> dict[str, Any]:
    """What the audit shows of a webhook: neither secrets nor the rest of its URL, which is often one."""
    return {
        "host": _host(webhook.url),
        "events": webhook.events,
        "has_secret": bool(webhook.secret),
        "headers": _header_names(webhook),
        "ordering": webhook.ordering,
        "skip_own": webhook.skip_own,
        "rate_limit": webhook.rate_limit,
    }


def _header_names(webhook: Webhook) -> list[str] | None:
    """The names of the headers that are sent along; None where no field key opens them."""
    try:
        return sorted(opened_headers(webhook.headers))
    except UndecryptableSecret:
        return None


def _change(webhook: Webhook, name: str, value: Any) -> None:
    """Sets one checked value."""
    match name:
        case "url":
            if value != webhook.url:
                # Another endpoint: what the one before did is not held against it.
                EndpointState.objects.filter(webhook=webhook).update(**clean_slate())
            webhook.url = checked_url(value)
        case "events":
            webhook.events = checked_events(value, webhook.api_key)
        case "secret":
            secret = checked_secret(value)
            _let_go_if_undecryptable(webhook)
            webhook.secret = secrets.encrypt(secret) if secret else ""
            rotation.keep(webhook, [])
        case "headers":
            headers = _with_kept(checked_headers(value), webhook)
            _let_go_if_undecryptable(webhook)
            webhook.headers = _encrypted(headers)
        case "ordering":
            webhook.ordering = checked_ordering(value)
        case "rate_limit":
            webhook.rate_limit = checked_rate_limit(value)
        case "skip_own":
            webhook.skip_own = bool(value)
        case _:
            raise InvalidSubscription(
                gettext("A webhook has no %(name)r that can be changed.") % {"name": name}, field=name
            )


def _set_off(webhook: Webhook, reason: OffReason, now: datetime) -> None:
    # What was missed before and is still not sent stays findable.
    if webhook.off_since is None or not missed_events(webhook).exists():
        webhook.off_since = latest_position()
    webhook.active, webhook.off_reason, webhook.off_at = False, reason.value, now
    webhook.on_since = None


def _overlapping(webhook: Webhook, overlap: timedelta) -> list[EarlierSecret]:
    now = database_now()
    earlier = rotation.those_that_open(webhook, now)
    # A secret that no key opens can't sign any more: keeping it would hold the webhook for all of the overlap.
    if webhook.secret and secrets.opens(webhook.secret):
        earlier = [EarlierSecret(stored=webhook.secret, until=now + overlap), *earlier]
    if len(earlier) > rotation.MOST:
        first = min(each.until for each in earlier)
        raise InvalidSubscription(
            gettext(
                "%(count)d earlier secrets sign still, the first of them until %(end)s. "
                "Wait until then, or rotate without an overlap."
            )
            % {"count": rotation.MOST, "end": moment(first)},
            field="secret",
        )
    return earlier


def _let_go_if_undecryptable(webhook: Webhook) -> None:
    """Ends the hold on a webhook for what could not be decrypted: it is about to be replaced."""
    earlier = (each["secret"] for each in webhook.previous_secrets)
    stored = (webhook.secret, *earlier, webhook.headers)
    if not all(secrets.opens(each) for each in stored if each):
        EndpointState.objects.filter(webhook=webhook).update(paused_until=None)


def _with_kept(headers: dict[str, str], webhook: Webhook) -> dict[str, str]:
    """A value that is hidden from readers stays what it is when it comes back as it was shown."""
    if HIDDEN not in headers.values():
        return headers
    kept = opened_headers(webhook.headers)
    return {name: kept.get(name, HIDDEN) if value == HIDDEN else value for name, value in headers.items()}


def _encrypted(headers: dict[str, str]) -> str:
    return secrets.encrypt(orjson.dumps(headers).decode()) if headers else ""


def _host(url: str) -> str:
    # The audit outlives the webhook, and a URL's path or query is often a credential.
    return urlsplit(url).hostname or ""


def _audit(webhook: Webhook, action: str, **data: Any) -> None:
    audit(key=webhook.api_key, action=action, webhook_id=webhook.pk, **data)
