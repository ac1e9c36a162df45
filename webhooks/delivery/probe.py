"""Which delivery a down endpoint is tried with: one at a time, the oldest, then other leads' oldest in turn.

Where only one lead waits, after ten minutes its next ones take turns too, each sent right after the oldest has failed
once more: were the endpoint back, the oldest would have arrived first, so order is kept through an outage; were the
oldest poisoned, the other one shows it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from webhooks.delivery.health import RULES, Facts
from webhooks.models import Delivery, DeliveryState, EndpointState, Ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The delivery to try. `goes_on`: should it fail, another is tried at once; `passes`: an earlier one of its lead
    has just failed.
    """

    delivery_id: int
    goes_on: bool = False
    passes: bool = False


def next_probe(
    webhook_id: int, ordering: Ordering, facts: Facts, *, just_failed: int | None, now: datetime
) -> Probe | None:
    """The next probe, noted as the latest one; None where nothing waits.

    `just_failed`: the delivery that a probe, which was to go on, has failed with a moment ago.
    """
    # By an expression: the index of all sequences would be read through millions that are delivered.
    waiting = Delivery.objects.filter(
        webhook_id=webhook_id, state=DeliveryState.WAITING, sequence__isnull=False
    ).order_by(Coalesce("sequence", 0))
    oldest = waiting.only("lead_id", "sequence").first()
    if oldest is None:
        return None
    if ordering is Ordering.STRICT:
        return Probe(delivery_id=oldest.pk)
    if waiting.exclude(lead_id=oldest.lead_id).exists():
        return Probe(delivery_id=_next_lead(waiting, webhook_id))
    others = waiting.exclude(pk=oldest.pk)
    long_down = facts.down_since is not None and now - facts.down_since >= RULES.next_of_lead_after
    if not long_down or not others.exists():
        return Probe(delivery_id=oldest.pk)
    if just_failed != oldest.pk:
        return Probe(delivery_id=oldest.pk, goes_on=True)
    ids = others.values_list("pk", flat=True)
    turn = facts.probes % ids.count()
    return Probe(delivery_id=ids[turn], passes=True)


def _next_lead(waiting: QuerySet[Delivery], webhook_id: int) -> int:
    """The oldest of the next lead behind the latest probe, or of the first one."""
    state = EndpointState.objects.filter(webhook_id=webhook_id)
    probed = state.values_list("probed_sequence", flat=True).first() or 0
    earlier = Delivery.objects.filter(
        webhook_id=OuterRef("webhook_id"),
        lead_id=OuterRef("lead_id"),
        state=DeliveryState.WAITING,
        id__lt=OuterRef("id"),
    )
    # A sub-select with a LIMIT and no join: PostgreSQL believes that next to nothing waits, and plans a join for that.
    first_earlier = Subquery(earlier.order_by("id").values("pk")[:1])
    heads = waiting.alias(earlier=first_earlier).filter(earlier=None).values_list("pk", "sequence")
    pk, sequence = heads.filter(sequence__gt=probed).first() or heads[0]
    state.update(probed_sequence=sequence)
    return pk
