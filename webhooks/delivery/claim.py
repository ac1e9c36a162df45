"""What is to be sent next to a webhook whose lease is held: the due deliveries, in order, with their bodies fixed.

A claim writes no mark of its own on a row: the lease is the mark. Who dies leaves rows that are due, and the next
holder sends them again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from leads.models.external_id import ExternalId
from webhooks.body import body_for
from webhooks.catalogue import EventType, needed_scope
from webhooks.delivery.lease import Lease, LeaseLost
from webhooks.delivery.target import Target
from webhooks.models import Delivery, DeliveryState, EndpointState, Ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One delivery, ready to be sent. What shares a `lane` goes in order, and waits for what failed before it.

    `probe`: a down endpoint is tried with it. `passes`: it goes though an earlier one of its lead has just failed.
    """

    delivery_id: int
    lane: int
    lead_id: int
    sequence: int
    attempts: int
    event_type: str
    message_id: str
    body: bytes
    probe: bool = False
    passes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What is to be sent, of how many rows that were looked at (others were withheld)."""

    parcels: list[Parcel]
    looked_at: int


def claim(
    target: Target,
    lease: Lease,
    *,
    holder: str,
    now: datetime,
    limit: int,
    busy_leads: Collection[int],
    asides_before: datetime | None,
    only: Collection[int] | None = None,
) -> Claimed:
    """Up to `limit` due deliveries in the order of their sequence, without the leads that are on their way already.

    What was overtaken at `asides_before` or earlier holds its lead's later ones back no more. Those whose scope has
    gone are withheld on the way. With `only`: these and no others. Raises `LeaseLost`.
    """
    if only is None:
        due = _due(target, now, limit, busy_leads, asides_before)
    else:
        waiting = Delivery.objects.filter(pk__in=only, state=DeliveryState.WAITING)
        due = list(waiting.select_related("event").order_by("sequence"))
    if not due:
        return Claimed(parcels=[], looked_at=0)
    with transaction.atomic():
        if not _still_ours(lease, holder):
            raise LeaseLost(lease.webhook_id)
        allowed = _withhold(target, due, now)
        _fix_bodies(target, allowed, now)
    parcels = [_parcel(delivery, target.ordering, asides_before) for delivery in allowed]
    return Claimed(parcels=parcels, looked_at=len(due))


def _due(
    target: Target, now: datetime, limit: int, busy_leads: Collection[int], asides_before: datetime | None
) -> list[Delivery]:
    waiting = Delivery.objects.filter(
        webhook_id=target.webhook_id, state=DeliveryState.WAITING, sequence__isnull=False
    ).select_related("event")
    due = waiting.filter(next_attempt_at__lte=now)
    match target.ordering:
        case Ordering.STRICT:
            return [] if busy_leads else _until_not_due(waiting.order_by("sequence")[:limit], now)
        case Ordering.PER_LEAD:
            in_order = _holding(waiting, asides_before)
            found = _heads_and_followers(
                in_order, due.exclude(lead_id__in=busy_leads), now, limit, asides_before
            )
        case _:
            found = list(due.exclude(lead_id__in=busy_leads).order_by("next_attempt_at", "id")[:limit])
    return sorted(found, key=lambda delivery: delivery.sequence or 0)


def _heads_and_followers(
    in_order: QuerySet[Delivery],
    due: QuerySet[Delivery],
    now: datetime,
    limit: int,
    asides_before: datetime | None,
) -> list[Delivery]:
    """The first of each lead, if it is due, and those behind it that are due as well; `in_order` without the asides.

    Within a lead, ids are in the order of the log: they are drawn while the lead's row is locked.
    """
    before = _holding(
        Delivery.objects.filter(
            webhook_id=OuterRef("webhook_id"),
            lead_id=OuterRef("lead_id"),
            state=DeliveryState.WAITING,
            id__lt=OuterRef("id"),
        ),
        asides_before,
    )
    heads = list(due.filter(~Exists(before)).order_by("next_attempt_at", "id")[:limit])
    room = limit - len(heads)
    if not heads or not room:
        return heads
    leads = {head.lead_id for head in heads}
    of_those = in_order.filter(lead_id__in=leads).exclude(pk__in=[head.pk for head in heads])
    by_lead: dict[int, list[Delivery]] = {}
    for delivery in of_those.order_by("id")[:room]:
        by_lead.setdefault(delivery.lead_id, []).append(delivery)
    return heads + [follower for lane in by_lead.values() for follower in _until_not_due(lane, now)]


def _holding(deliveries: QuerySet[Delivery], asides_before: datetime | None) -> QuerySet[Delivery]:
    """Those that have not stepped aside: they hold their lead's later ones back."""
    if asides_before is None:
        return deliveries
    return deliveries.filter(Q(overtaken_since=None) | Q(overtaken_since__gt=asides_before))


def _is_aside(delivery: Delivery, asides_before: datetime | None) -> bool:
    since = delivery.overtaken_since
    return since is not None and asides_before is not None and since <= asides_before


def _until_not_due(deliveries: Iterable[Delivery], now: datetime) -> list[Delivery]:
    """The deliveries before the first one that is not due."""
    found = []
    for delivery in deliveries:
        if delivery.next_attempt_at is None or delivery.next_attempt_at > now:
            break
        found.append(delivery)
    return found


def _still_ours(lease: Lease, holder: str) -> bool:
    states = EndpointState.objects.filter(
        webhook_id=lease.webhook_id, lease_holder=holder, lease_number=lease.number
    )
    return bool(states.select_for_update(no_key=True).values_list("pk"))


def _withhold(target: Target, deliveries: list[Delivery], now: datetime) -> list[Delivery]:
    """Ends those whose event the key may no longer see, with the reason; gives the others."""
    missing: dict[str, list[int]] = {}
    allowed = []
    for delivery in deliveries:
        scope = needed_scope(EventType(delivery.type))
        if scope in target.scopes:
            allowed.append(delivery)
        else:
            missing.setdefault(scope, []).append(delivery.pk)
    for scope, ids in missing.items():
        Delivery.objects.filter(pk__in=ids, state=DeliveryState.WAITING).update(
            state=DeliveryState.WITHHELD,
            finished_at=now,
            next_attempt_at=None,
            last_error=f"not sent: the API key no longer has the scope {scope}",
        )
    return allowed


def _fix_bodies(target: Target, deliveries: list[Delivery], now: datetime) -> None:
    """Settles the bytes of those that are sent for the first time, before anything is sent."""
    fresh = [delivery for delivery in deliveries if delivery.first_attempt_at is None]
    if not fresh:
        return
    own_ids = dict(
        ExternalId.objects.filter(
            api_key_id=target.api_key_id, lead_id__in={delivery.lead_id for delivery in fresh}
        ).values_list("lead_id", "value")
    )
    different = []
    for delivery in fresh:
        payload = delivery.event.payload
        body = body_for(payload, scopes=target.scopes, external_id=own_ids.get(delivery.lead_id))
        if body != payload:
            delivery.body = body
            different.append(delivery)
    Delivery.objects.filter(pk__in=[delivery.pk for delivery in fresh]).update(first_attempt_at=now)
    if different:
        Delivery.objects.bulk_update(different, ["body"])


def _parcel(delivery: Delivery, ordering: Ordering, asides_before: datetime | None) -> Parcel:
    lanes = {Ordering.STRICT: 0, Ordering.PER_LEAD: delivery.lead_id, Ordering.NONE: delivery.pk}
    if ordering is Ordering.PER_LEAD and _is_aside(delivery, asides_before):
        lanes[ordering] = -delivery.pk  # should it fail again, what is behind it goes all the same
    text = delivery.event.payload if delivery.body is None else delivery.body
    return Parcel(
        delivery_id=delivery.pk,
        lane=lanes[ordering],
        lead_id=delivery.lead_id,
        sequence=delivery.sequence or 0,
        attempts=delivery.attempts,
        event_type=delivery.type,
        message_id=delivery.event.public_id,
        body=text.encode(),
    )
