"""Events, webhooks, deliveries and attempts in the admin, to be read: webhooks are changed in Settings → API.

The tables grow to millions: lists go by the primary key, without a count and without sorting by other columns.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apikeys.admin import ReadOnlyAdmin
from webhooks.models import Attempt, Delivery, Event, Webhook

PAGE = 50
FURTHEST = 10_000


class NoCountPaginator(Paginator):  # type: ignore[type-arg]  # no generic class when it runs
    """Counts no further than a person turns pages: a count of a huge table reads all of it."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:FURTHEST].count()


class LogAdmin(ReadOnlyAdmin):
    """A log, newest first."""

    paginator = NoCountPaginator
    show_full_result_count = False
    list_per_page = PAGE
    list_max_show_all = PAGE
    ordering = ["-id"]
    sortable_by = ()
    # Only columns that have an index of their own may be filtered by.
    indexed: Sequence[str] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Links from one log to another."""
        return lookup in self.indexed or super().lookup_allowed(lookup, value, request)


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ("id", "url", "api_key", "events", "active", "off_reason", "has_secret", "ordering")
    list_filter = ("active", "ordering")
    list_select_related = ("api_key",)
    search_fields = ("url", "api_key__name")
    # Secrets and headers are left out, encrypted or not.
    fields = (
        "url",
        "api_key",
        "events",
        "has_secret",
        "ordering",
        "skip_own",
        "rate_limit",
        ("active", "off_reason", "off_at"),
        "endpoint",
        "its_deliveries",
        ("created_by_type", "created_by_id", "created_by_name"),
        ("created_at", "updated_at", "version"),
    )

    @admin.display(description="secret", boolean=True)
    def has_secret(self, webhook: Webhook) -> bool:
        return bool(webhook.secret)

    @admin.display
    def endpoint(self, webhook: Webhook) -> str:
        state = getattr(webhook, "state", None)
        if state is None:
            return "nothing sent yet"
        last = f"{state.last_success_at:%Y-%m-%d %H:%M:%S}" if state.last_success_at else "never"
        return (
            f"{state.get_health_display()}; last success {last} UTC; {state.failures_in_a_row} failures since"
        )

    @admin.display(description="deliveries")
    def its_deliveries(self, webhook: Webhook) -> SafeString:
        return _link("delivery", "its deliveries", webhook=webhook.pk)


@admin.register(Event)
class EventAdmin(LogAdmin):
    list_display = ("id", "created_at", "type", "lead_id", "actor", "position", "public_id")
    fields = ("public_id", "type", "created_at", "lead_id", "actor", "position", "its_deliveries", "payload")
    indexed = ("lead_id", "lead_id__exact")

    @admin.display
    def actor(self, event: Event) -> str:
        return event.actor_type if event.actor_id is None else f"{event.actor_type} {event.actor_id}"

    @admin.display(description="deliveries")
    def its_deliveries(self, event: Event) -> SafeString:
        return _link("delivery", "its deliveries", event=event.pk)


@admin.register(Delivery)
class DeliveryAdmin(LogAdmin):
    list_display = (
        *("id", "created_at", "type", "lead_id", "webhook_id", "sequence", "state", "attempts"),
        *("last_status", "last_error", "next_attempt_at"),
    )
    fields = (
        ("type", "cause", "lead_id"),
        ("webhook_id", "the_event"),
        ("sequence", "state", "attempts"),
        ("created_at", "first_attempt_at", "next_attempt_at", "finished_at"),
        ("last_status", "last_error"),
        "its_attempts",
        "sent_body",
    )
    indexed = ("webhook", "webhook__exact", "event", "event__exact")

    @admin.display(description="event")
    def the_event(self, delivery: Delivery) -> SafeString:
        address = reverse("admin:webhooks_event_change", args=[delivery.event_id])
        return format_html('<a href="{}">{}</a>', address, delivery.event_id)

    @admin.display(description="attempts")
    def its_attempts(self, delivery: Delivery) -> SafeString:
        return _link("attempt", "its attempts", delivery=delivery.pk)

    @admin.display(description="body")
    def sent_body(self, delivery: Delivery) -> str:
        """The bytes of the first attempt; before it, nothing is settled."""
        if delivery.first_attempt_at is None:
            return "not sent yet"
        if delivery.body is not None:
            return delivery.body
        event = Event.objects.filter(pk=delivery.event_id).first()
        return event.payload if event else "no longer kept"


@admin.register(Attempt)
class AttemptAdmin(LogAdmin):
    list_display = ("id", "started_at", "delivery_id", "number", "status", "error", "total_ms", "address")
    fields = (
        ("delivery_id", "number", "probe", "started_at", "address"),
        ("status", "error_code", "error"),
        ("dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms"),
        "request_headers",
        "response_headers",
        "response_body",
    )
    indexed = ("delivery", "delivery__exact")


def _link(model: str, text: str, **filters: int) -> SafeString:
    query = "&".join(f"{name}__exact={value}" for name, value in filters.items())
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:webhooks_{model}_changelist"), query, text)
