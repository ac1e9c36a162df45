"""Which delivery a down endpoint is tried with: one at a time, the oldest, then other leads' oldest in turn.

Where only one lead waits, after ten minutes its next ones take turns too, each sent right after the oldest has failed
once more: were the endpoint back, the oldest would have arrived first, so order is kept through an outage; were the
oldest poisoned, the other one shows it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from calliyo.prepared import fetch_once
from webhooks.delivery.bulk import ids_as_rows
from webhooks.delivery.health import RULES, Facts
from webhooks.delivery.waiting_leads import WIDER, walk, with_several
from webhooks.models import Delivery, EndpointState, Ordering

_FIRST_LOOK = 100
_OLDEST_OF = """
    SELECT (
        SELECT d.id FROM webhooks_delivery AS d
        WHERE d.webhook_id = {webhook} AND d.state = 'waiting' AND d.lead_id = these.lead_id ORDER BY d.id LIMIT 1
    ) FROM {these}
"""


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
    waiting = Delivery.objects.filter(webhook_id=webhook_id, finished_at=None, sequence__gt=0).order_by(
        "sequence", "id"
    )
    oldest = waiting.only("webhook_id", "lead_id", "sequence").first()
    if oldest is None:
        return None
    if ordering is Ordering.STRICT:
        return Probe(delivery_id=oldest.pk)
    if with_several([webhook_id]):
        return Probe(delivery_id=_next_lead(waiting, oldest))
    long_down = facts.down_since is not None and now - facts.down_since >= RULES.next_of_lead_after
    # The others, as far as it matters: the turn is that of so many probes, round and round.
    others = waiting.exclude(pk=oldest.pk).values_list("pk", flat=True)
    ids = list(others[: facts.probes + 1]) if long_down else []
    if not ids:
        return Probe(delivery_id=oldest.pk)
    if just_failed != oldest.pk:
        return Probe(delivery_id=oldest.pk, goes_on=True)
    return Probe(delivery_id=ids[facts.probes % len(ids)], passes=True)


def _next_lead(waiting: QuerySet[Delivery], oldest: Delivery) -> int:
    """The oldest of the next lead behind the latest probe, or of the first one."""
    state = EndpointState.objects.filter(webhook_id=oldest.webhook_id)
    probed = state.values_list("probed_sequence", flat=True).first() or 0
    pk, sequence = _oldest_behind(waiting, oldest.webhook_id, probed) or (oldest.pk, oldest.sequence)
    state.update(probed_sequence=sequence)
    return pk


def _oldest_behind(
    waiting: QuerySet[Delivery], webhook_id: int, probed: int
) -> tuple[int, int | None] | None:
    """The first behind `probed` that is the oldest of its lead, and its sequence.

    Looked for in what is next behind it or, where one lead has all of that, from lead to lead: whichever ends sooner.
    """
    behind = waiting.filter(sequence__gt=probed)
    most = _FIRST_LOOK
    while True:
        seen = list(behind.values_list("pk", "lead_id", "sequence")[:most])
        oldest_of_leads = _oldest_of(webhook_id, {lead_id for _, lead_id, _ in seen})
        for pk, _, sequence in seen:
            if pk in oldest_of_leads:
                return pk, sequence
        if len(seen) < most:
            return None
        leads = walk(webhook_id, most)
        if leads.complete:
            return (
                behind.filter(pk__in=_oldest_of(webhook_id, leads.ids)).values_list("pk", "sequence").first()
            )
        most *= WIDER


def _oldest_of(webhook_id: int, leads: Collection[int]) -> set[int]:
    """The oldest that waits, of each of the leads."""
    these = ids_as_rows(leads, table="these", column="lead_id")
    return {pk for (pk,) in fetch_once(_OLDEST_OF.format(webhook=webhook_id, these=these), ())}
