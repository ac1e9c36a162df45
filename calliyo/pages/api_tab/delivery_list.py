"""Deliveries of a webhook as the drawer shows them: the filters of the address, the rows, and what is under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlencode

from django.db.models import F
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext

from apikeys.models import APIKey
from calliyo.ids import read_id
from calliyo.pages.access import api_tab_address
from calliyo.pages.api_tab.delivery_words import (
    Hold,
    clock_words,
    duration_words,
    filter_words,
    next_attempt,
    outcome_of,
    state_word,
)
from calliyo.pages.api_tab.health import State
from calliyo.pages.wording import exact
from webhooks import resending
from webhooks.catalogue import EventType
from webhooks.delivery_log import Filters, page_of
from webhooks.models import Delivery, DeliveryState, Health, ResendOrder, Webhook

MAX_TYPED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One delivery in the list. `can_resend`: its event is still kept."""

    id: int
    at: datetime
    exact: str
    clock: str
    event: str
    lead_id: int
    again: bool
    outcome: State
    status: int | None
    attempts: int
    duration: str
    next: str
    can_resend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice of a filter."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryList:
    """A page of the list, with the addresses that lead on. `mark` changes with what is shown."""

    webhook: Webhook
    filters: Filters
    events: Sequence[Choice]
    outcomes: Sequence[Choice]
    rows: Sequence[Row]
    sought: str
    order: ResendOrder | None
    address: str
    """The list without filters."""
    query: str
    """The filters and the place, for addresses that keep them."""
    older: str
    is_first_page: bool
    mark: str

    @property
    def any(self) -> bool:
        """Whether there may be something to find: not where nothing was ever queued."""
        return bool(self.rows or self.filters.any or not self.is_first_page)


def address_of(webhook: Webhook, **more: str | int) -> str:
    """The list of a webhook's deliveries, with `more` in its query."""
    fixed = f"{api_tab_address()}&key={webhook.api_key_id}&panel=webhooks&webhook={webhook.pk}&do=deliveries"
    return f"{fixed}&{urlencode(more)}" if more else fixed


def filters_from(query: QueryDict) -> Filters:
    """The filters in an address; what is no event or outcome counts as none."""
    event, outcome = query.get("event", ""), query.get("outcome", "")
    return Filters(
        event=EventType(event) if event in list(EventType) else None,
        outcome=DeliveryState(outcome) if outcome in DeliveryState.values else None,
        lead=query.get("lead", "").replace("\x00", "").strip()[:MAX_TYPED],
    )


def webhook_of_log(webhook_id: int) -> Webhook:
    """The webhook with its key and what the engine knows of its endpoint (`health`, `held`, `paused`)."""
    known = {"health": F("state__health"), "held": F("state__held_until"), "paused": F("state__paused_until")}
    return Webhook.objects.select_related("api_key").annotate(**known).get(pk=webhook_id)


def delivery_list(webhook: Webhook, query: QueryDict) -> DeliveryList:
    """The page that the address asks for; `webhook` is from `webhook_of_log`. Times are in the current zone."""
    filters = filters_from(query)
    place = read_id(query.get("before", ""))
    page = page_of(webhook.pk, filters, before=place)
    now = timezone.now()
    hold = hold_of(webhook, webhook.api_key, now)
    rows = [_row(delivery, hold, now) for delivery in page.deliveries]
    order = resending.running_order(webhook.pk)
    kept = query_of(filters)
    return DeliveryList(
        webhook=webhook,
        filters=filters,
        events=_choices(gettext("All events"), [(each, each.value) for each in EventType], filters.event),
        outcomes=_choices(
            gettext("Any outcome"), [(each, state_word(each)) for each in DeliveryState], filters.outcome
        ),
        rows=rows,
        sought=filter_words(filters),
        order=order,
        address=address_of(webhook),
        query=urlencode(kept | ({"before": str(place)} if place else {})),
        older=address_of(webhook, **kept, before=rows[-1].id) if page.more else "",
        is_first_page=place is None,
        mark=_mark(rows, order),
    )


def hold_of(webhook: Webhook, key: APIKey, now: datetime) -> Hold:
    """What holds all of a webhook's deliveries back, if anything does."""
    if not key.active or key.expired(now):
        return Hold(words=gettext("when the key is active again"))
    until = max((each for each in (webhook.held, webhook.paused) if each), default=None)  # type: ignore[attr-defined]  # annotated
    if webhook.health == Health.DOWN:  # type: ignore[attr-defined]  # annotated
        return Hold(words=gettext("when the receiver answers again"))
    return Hold(until=until)


def query_of(filters: Filters) -> dict[str, str]:
    """What an address says of `filters`; `filters_from` reads it."""
    named = {"event": filters.event, "outcome": filters.outcome, "lead": filters.lead}
    return {name: str(value) for name, value in named.items() if value}


def _choices(all_of_them: str, each: Sequence[tuple[str, str]], chosen: str | None) -> list[Choice]:
    return [
        Choice(value="", label=all_of_them, chosen=chosen is None),
        *(Choice(value=value, label=label, chosen=value == chosen) for value, label in each),
    ]


def _row(delivery: Delivery, hold: Hold, now: datetime) -> Row:
    return Row(
        id=delivery.pk,
        at=delivery.created_at,
        exact=exact(delivery.created_at),
        clock=clock_words(delivery.created_at, now),
        event=delivery.type,
        lead_id=delivery.lead_id,
        again=delivery.cause == "replay",
        outcome=outcome_of(delivery),
        status=delivery.last_status,
        attempts=delivery.attempts,
        duration=duration_words(delivery.last_ms),  # type: ignore[attr-defined]  # annotated
        next=next_attempt(delivery, hold, now),
        can_resend=delivery.event_kept,  # type: ignore[attr-defined]  # annotated
    )


def _mark(rows: Sequence[Row], order: ResendOrder | None) -> str:
    shown = repr((rows, order and (order.pk, order.queued)))
    return sha256(shown.encode()).hexdigest()[:16]
