"""Which delivery a down endpoint is tried with: one at a time, the oldest, then other leads' oldest in turn.

Where only one lead waits, after ten minutes its next ones take turns too, each sent right behind the oldest: were the
endpoint back, the oldest would have arrived first, so order is kept through an outage; were the oldest poisoned, the
other one shows it.
"""

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from webhooks.delivery.health import RULES
from webhooks.models import Delivery, DeliveryState, EndpointState, Ordering


def next_probe(
    webhook_id: int, ordering: Ordering, *, down_since: datetime | None, now: datetime
) -> list[int]:
    """The deliveries to try now, in this order, noted as the latest probe; none where nothing waits."""
    waiting = Delivery.objects.filter(
        webhook_id=webhook_id, state=DeliveryState.WAITING, sequence__isnull=False
    ).defer("body")
    state = EndpointState.objects.filter(webhook_id=webhook_id)
    probed = state.values_list("probed_sequence", flat=True).first()
    long_down = down_since is not None and now - down_since >= RULES.next_of_lead_after
    chosen = _chosen(waiting, ordering, probed, long_down=long_down)
    if chosen:
        state.update(probed_sequence=chosen[-1].sequence)
    return [delivery.pk for delivery in chosen]


def _chosen(
    waiting: QuerySet[Delivery], ordering: Ordering, probed: int | None, *, long_down: bool
) -> list[Delivery]:
    oldest = waiting.order_by("sequence").first()
    if oldest is None:
        return []
    if ordering is Ordering.STRICT:
        return [oldest]
    if waiting.exclude(lead_id=oldest.lead_id).exists():
        return [_following(_heads(waiting), probed) or oldest]
    its_next = _following(waiting.exclude(pk=oldest.pk), probed) if long_down else None
    return [oldest] if its_next is None else [oldest, its_next]


def _heads(waiting: QuerySet[Delivery]) -> QuerySet[Delivery]:
    earlier = Delivery.objects.filter(
        webhook_id=OuterRef("webhook_id"),
        lead_id=OuterRef("lead_id"),
        state=DeliveryState.WAITING,
        id__lt=OuterRef("id"),
    )
    return waiting.filter(~Exists(earlier))


def _following(candidates: QuerySet[Delivery], probed: int | None) -> Delivery | None:
    """The first one behind the latest probe, or the first of all."""
    in_turn = candidates.order_by("sequence")
    return in_turn.filter(sequence__gt=probed or 0).first() or in_turn.first()
