"""What happened (Event), who is told (Webhook), and how the telling went (Delivery, Attempt).

A Webhook holds what people configure; EndpointState holds what the engine knows of it and writes all the time, so that
the one's version stays still and neither's lock is waited for. A Delivery refers to both sides without a database
constraint: an insert never waits for an endpoint, and a deleted webhook's rows go in batches.
"""

from webhooks.delivery.health import Health
from webhooks.models.attempt import Attempt
from webhooks.models.counters import AttemptOutcome, QuarterHour, Tally
from webhooks.models.delivery import Delivery, DeliveryCause, DeliveryState
from webhooks.models.endpoint_state import EndpointState
from webhooks.models.event import Event, PrunedLog
from webhooks.models.resending import ResendCause, ResendOrder
from webhooks.models.webhook import OffReason, Ordering, Webhook

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Delivery",
    "DeliveryCause",
    "DeliveryState",
    "EndpointState",
    "Event",
    "Health",
    "OffReason",
    "Ordering",
    "PrunedLog",
    "QuarterHour",
    "ResendCause",
    "ResendOrder",
    "Tally",
    "Webhook",
]
