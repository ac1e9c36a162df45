"""What a key may send of a webhook; the rules themselves are in `webhooks.validation`."""

from typing import Any

from rest_framework import serializers

from calliyo.api.inputs import Input
from leads.api.inputs import MomentField
from webhooks.api.shapes import EVENTS
from webhooks.models import Ordering
from webhooks.operations import LONGEST_OVERLAP
from webhooks.secrets import MAX_LENGTH
from webhooks.validation import GENERATE, MAX_HEADERS, MAX_RATE_LIMIT

MAX_DELIVERIES = 1000


class HeadersField(serializers.DictField):
    """At most ten names and their values."""

    child = serializers.CharField(trim_whitespace=False, allow_blank=True)
    default_error_messages = {"too_many": f"At most {MAX_HEADERS} headers are sent along."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict) and len(data) > MAX_HEADERS:
            self.fail("too_many")
        headers: dict[str, str] = super().to_internal_value(data)
        return headers


class WebhookInput(Input):
    url = serializers.CharField(help_text="https, to a public address.")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENTS),
        allow_empty=False,
        max_length=100,
        help_text="Each needs its read scope.",
    )
    secret = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=MAX_LENGTH,
        trim_whitespace=False,
        write_only=True,
        help_text=f"Signs deliveries: your own text, `{GENERATE}` for one that is answered once, null for none.",
    )
    active = serializers.BooleanField(required=False, help_text="Whether events are queued for it.")
    ordering = serializers.ChoiceField(
        choices=Ordering.values, required=False, help_text="Whose events arrive in order."
    )
    skip_own = serializers.BooleanField(
        required=False, help_text="Leaves out the changes that this key made, so that systems never echo."
    )
    headers = HeadersField(required=False, help_text="Sent along with each delivery; encrypted at rest.")
    rate_limit = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_RATE_LIMIT,
        help_text="Deliveries a minute; null: no limit.",
    )


class WebhookChangesInput(WebhookInput):
    secret_overlap_seconds = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=int(LONGEST_OVERLAP.total_seconds()),
        help_text="How long the secret before this one signs too: a day unless said.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """An overlap is one of two secrets."""
        if "secret_overlap_seconds" in attrs and not attrs.get("secret"):
            raise serializers.ValidationError(
                {"secret_overlap_seconds": "Is sent beside a new secret."}, code="not_allowed"
            )
        return attrs


class TestInput(Input):
    event = serializers.ChoiceField(
        choices=EVENTS,
        required=False,
        help_text="Of which event a sample is sent; the webhook's first, unless said.",
    )


class ReplayInput(Input):
    """One way to say which events."""

    event_id = serializers.CharField(required=False, max_length=100, help_text="One event: evt_…")
    delivery_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_empty=False,
        max_length=MAX_DELIVERIES,
        help_text="The events of these deliveries.",
    )
    failed = serializers.BooleanField(required=False, help_text="What failed and did not arrive later.")
    missed = serializers.BooleanField(required=False, help_text="What happened while the webhook was off.")
    since = MomentField(
        required=False,
        help_text="All that it subscribes to since then; with `failed`: what failed since then.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuses none, and two that exclude each other."""
        said = {name for name, value in attrs.items() if value is not False}
        if len(said) != 1 and said != {"failed", "since"}:
            raise serializers.ValidationError(
                "Say one of event_id, delivery_ids, failed, missed and since; since may go with failed.",
                code="one_of",
            )
        return attrs
