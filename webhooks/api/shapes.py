"""What the JSON of webhooks and deliveries holds, for the API's description and for `fields=`."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from calliyo.api.shapes import Shape
from leads.api.shapes import AuthorShape, Versioned
from leads.pictures import moment
from webhooks.backlog import OFF
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.health import Health
from webhooks.delivery.target import HIDDEN, opened_headers
from webhooks.models import DeliveryState, OffReason, Ordering
from webhooks.secrets import UndecryptableSecret

EVENTS = [event.value for event in EventType]

WEBHOOK_COLUMNS = (
    "id",
    "version",
    "url",
    "events",
    "active",
    "off_reason",
    "off_at",
    "secret",
    "previous_secret_until",
    "headers",
    "ordering",
    "skip_own",
    "rate_limit",
    "created_by_type",
    "created_by_id",
    "created_by_name",
    "created_at",
    "updated_at",
)
DELIVERY_COLUMNS = (
    "id",
    "type",
    "lead_id",
    "sequence",
    "state",
    "attempts",
    "created_at",
    "next_attempt_at",
    "finished_at",
    "last_status",
    "last_error",
)


class WebhookShape(Versioned):
    url = serializers.CharField(help_text="Where events are POSTed to.")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENTS), help_text="Which, in the catalogue's order."
    )
    active = serializers.BooleanField(help_text="False: nothing is queued for it.")
    off_reason = serializers.ChoiceField(
        choices=OffReason.values, allow_null=True, help_text="Why it is off; null while it is on."
    )
    off_at = serializers.DateTimeField(allow_null=True, help_text="Since when it is off.")
    health = serializers.ChoiceField(
        choices=[*(health.value for health in Health), OFF], help_text="How its endpoint has answered."
    )
    has_secret = serializers.BooleanField(help_text="Whether its deliveries are signed.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="So long the secret before the last change signs too."
    )
    ordering = serializers.ChoiceField(choices=Ordering.values, help_text="Whose events arrive in order.")
    skip_own = serializers.BooleanField(help_text="Whether changes that this key made are left out.")
    headers = serializers.DictField(
        child=serializers.CharField(),
        allow_null=True,
        help_text=f"Names of what is sent along; each value is shown as {HIDDEN}. Null: no field key opens them.",
    )
    rate_limit = serializers.IntegerField(allow_null=True, help_text="Deliveries a minute; null: no limit.")
    created_by = AuthorShape(help_text="Who made it.")
    created_at = serializers.DateTimeField(help_text="When it was created.")
    updated_at = serializers.DateTimeField(help_text="When it last changed.")


class WebhookWithSecretShape(WebhookShape):
    secret = serializers.CharField(
        required=False, help_text="The generated secret; only in the answer to the request that asked for it."
    )


class DeliveryShape(Shape):
    id = serializers.IntegerField(help_text="The `X-Calliyo-Delivery` header.")
    event_id = serializers.CharField(
        allow_null=True, help_text="The `webhook-id` header; null once the event is no longer kept."
    )
    type = serializers.ChoiceField(choices=EVENTS, help_text="The event.")
    lead_id = serializers.IntegerField(
        allow_null=True, help_text="The lead; null to a key without the event's scope."
    )
    sequence = serializers.IntegerField(
        allow_null=True, help_text="The `X-Calliyo-Sequence` header; null until the engine has numbered it."
    )
    state = serializers.ChoiceField(choices=DeliveryState.values, help_text="How far it is.")
    attempts = serializers.IntegerField(help_text="How many counted so far.")
    created_at = serializers.DateTimeField(help_text="When it was queued.")
    next_attempt_at = serializers.DateTimeField(allow_null=True, help_text="When it is due, if it waits.")
    finished_at = serializers.DateTimeField(allow_null=True, help_text="When it ended.")
    last_status = serializers.IntegerField(allow_null=True, help_text="The endpoint's last HTTP status.")
    last_error = serializers.CharField(help_text="Why the last attempt failed, or empty.")


class ErrorOfTestShape(Shape):
    code = serializers.CharField(help_text="For programs.")
    detail = serializers.CharField(help_text="For people.")


class TestedShape(Shape):
    event_id = serializers.CharField(help_text="The `webhook-id` header of the sample.")
    type = serializers.ChoiceField(choices=EVENTS, help_text="The event that was made up.")
    succeeded = serializers.BooleanField(help_text="Whether the endpoint answered 2xx in time.")
    status = serializers.IntegerField(allow_null=True, help_text="Its HTTP status, if it answered.")
    error = ErrorOfTestShape(allow_null=True, help_text="Why it counts as a failure.")
    duration_ms = serializers.IntegerField(help_text="How long it took.")


class ReplayedShape(Shape):
    queued = serializers.IntegerField(help_text="How many deliveries were queued.")
    out_of_scope = serializers.IntegerField(help_text="How many were not, as the key lacks their scope.")
    no_longer_kept = serializers.IntegerField(help_text="How many were not, as their events are gone.")


def webhook_picture(row: tuple[Any, ...], health: str | None) -> dict[str, Any]:
    """A row of `WEBHOOK_COLUMNS` in its JSON shape; `health` is its endpoint's."""
    (
        pk, version, url, events, active, off_reason, off_at, secret, previous_secret_until, headers,
        ordering, skip_own, rate_limit, by_type, by_id, by_name, created_at, updated_at,
    ) = row  # fmt: skip
    overlaps = previous_secret_until is not None and previous_secret_until > timezone.now()
    return {
        "id": pk,
        "version": version,
        "url": url,
        "events": events,
        "active": active,
        "off_reason": off_reason or None,
        "off_at": moment(off_at),
        "health": (health or Health.HEALTHY.value) if active else OFF,
        "has_secret": bool(secret),
        "previous_secret_until": moment(previous_secret_until) if overlaps else None,
        "ordering": ordering,
        "skip_own": skip_own,
        "headers": _hidden(headers),
        "rate_limit": rate_limit,
        "created_by": {"type": by_type, "id": by_id, "name": by_name},
        "created_at": moment(created_at),
        "updated_at": moment(updated_at),
    }


def delivery_picture(row: tuple[Any, ...], event_id: str | None, scopes: frozenset[str]) -> dict[str, Any]:
    """A row of `DELIVERY_COLUMNS` in its JSON shape, for a key with these scopes."""
    (
        pk, event_type, lead_id, sequence, state, attempts,
        created_at, next_attempt_at, finished_at, last_status, last_error,
    ) = row  # fmt: skip
    return {
        "id": pk,
        "event_id": event_id,
        "type": event_type,
        "lead_id": lead_id if needed_scope(EventType(event_type)) in scopes else None,
        "sequence": sequence,
        "state": state,
        "attempts": attempts,
        "created_at": moment(created_at),
        "next_attempt_at": moment(next_attempt_at),
        "finished_at": moment(finished_at),
        "last_status": last_status,
        "last_error": last_error,
    }


def _hidden(stored: str) -> dict[str, str] | None:
    try:
        return dict.fromkeys(opened_headers(stored), HIDDEN)
    except UndecryptableSecret:
        return None
