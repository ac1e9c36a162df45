"""What a webhook was not told while it was off, found from the event log: nothing was queued for it then."""

from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from webhooks.models import Delivery, DeliveryState, Event, Webhook

# Writers who saw it off may have committed after it was turned on: looked for among so many later events.
SLACK: Final = 10_000


def missed_events(webhook: Webhook) -> QuerySet[Event]:
    """The events that it would have been told, of which it has no delivery but missed ones."""
    deliveries = Delivery.objects.filter(webhook_id=webhook.pk)
    told = deliveries.filter(event_id=OuterRef("pk")).exclude(state=DeliveryState.MISSED)
    ended = deliveries.filter(state=DeliveryState.MISSED).order_by().values("event_id")
    ids = ended.union(_never_queued(webhook).order_by().values("pk"))
    return Event.objects.filter(~Exists(told), pk__in=ids)


def subscribed_events(webhook: Webhook) -> QuerySet[Event]:
    """All events that it is told while it is on."""
    events = Event.objects.filter(type__in=webhook.events)
    if webhook.skip_own:
        events = events.exclude(actor_type="api_key", actor_id=webhook.api_key_id)
    return events


def _never_queued(webhook: Webhook) -> QuerySet[Event]:
    """Where in the log they are; those that were queued all the same are among them."""
    if webhook.off_since is None:
        return Event.objects.none()
    until = Q() if webhook.on_since is None else Q(position__lte=webhook.on_since + SLACK)
    return subscribed_events(webhook).filter(until, position__gt=webhook.off_since)
