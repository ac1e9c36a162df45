"""A webhook's deliveries as people look for them: newest first, filtered in the database over all rows.

However rare what is looked for, and however many rows lie around it: a filter is split into questions that an index
answers from its end (each event with each outcome), and the newest of all the answers are taken. So a page costs some
index look-ups, by no matter which filter; only what waits is sorted, through an index that holds nothing else.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from calliyo.ids import read_id
from leads.models import Lead
from leads.phone_search import phone_condition
from webhooks.catalogue import EventType
from webhooks.models import Attempt, Delivery, DeliveryState, Event

PAGE: Final = 50
COUNTED: Final = 10_000
"""What waits is counted up to here."""
MAX_LEADS: Final = 20
"""So many leads whose phone number begins alike are looked through."""
_ENDED: Final = [state.value for state in DeliveryState if state is not DeliveryState.WAITING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is looked for: nothing for all. `lead` is a lead's number, or its phone number in any spelling."""

    event: EventType | None = None
    outcome: DeliveryState | None = None
    lead: str = ""

    @property
    def any(self) -> bool:
        """Whether anything is left out."""
        return bool(self.event or self.outcome or self.lead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some deliveries, newest first, each with `last_ms`, how long its latest attempt took, and `event_kept`.

    `more`: older ones follow.
    """

    deliveries: Sequence[Delivery]
    more: bool


def page_of(webhook_id: int, filters: Filters, *, before: int | None = None, size: int = PAGE) -> Page:
    """The newest deliveries (older than the delivery `before`), in two queries, three where a lead is looked for."""
    ids = _first_ids(list(_questions(webhook_id, filters, before)), size + 1, newest_first=True)
    latest = Attempt.objects.filter(delivery_id=OuterRef("pk")).order_by("-number", "-id").values("total_ms")
    rows = Delivery.objects.filter(pk__in=ids[:size]).defer("body")
    rows = rows.annotate(
        last_ms=Subquery(latest[:1]), event_kept=Exists(Event.objects.filter(pk=OuterRef("event_id")))
    )
    return Page(deliveries=list(rows.order_by("-pk")) if ids else [], more=len(ids) > size)


def waiting_of(webhook_ids: Collection[int]) -> dict[int, int]:
    """How many deliveries wait for each of these webhooks, at most `COUNTED` + 1, in one query."""
    if not webhook_ids:
        return {}
    waiting = [
        Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING).order_by().values("pk")
        for webhook_id in webhook_ids
    ]
    parts, parameters = _compiled(each[: COUNTED + 1] for each in waiting)
    counts = [
        f"SELECT {int(webhook_id)}, count(*) FROM ({part}) AS waiting_{number}"  # noqa: S608  # compiled by Django
        for number, (webhook_id, part) in enumerate(zip(webhook_ids, parts, strict=True))
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counts), parameters)
        return dict(cursor.fetchall())


def leads_named(text: str) -> list[int]:
    """The leads whose number, or whose phone number in any spelling or its first digits, `text` is.

    A number of digits may be both; deliveries outlive leads, so the number alone counts even where no lead bears it.
    """
    number = read_id(text)
    found = [] if number is None else [number]
    condition = phone_condition(text, "phone")
    phones = Lead.objects.none() if condition is None else Lead.objects.filter(condition)
    return list(dict.fromkeys([*found, *phones.order_by("pk").values_list("pk", flat=True)[:MAX_LEADS]]))


def ids_in(
    rows: QuerySet[Delivery],
    *,
    types: Collection[str],
    states: Collection[str],
    size: int,
    newest_first: bool = True,
) -> list[int]:
    """The first ids in `rows`, those of one webhook, with any of these events and of these outcomes (none: of all)."""
    questions = list(_answerable(rows, types, states, newest_first=newest_first))
    return _first_ids(questions, size, newest_first=newest_first)


def _questions(webhook_id: int, filters: Filters, before: int | None) -> Iterator[QuerySet[Any]]:
    """Queries for ids, each answered newest first by one index; together they cover what is looked for, once."""
    rows = Delivery.objects.filter(webhook_id=webhook_id)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if filters.lead:
        yield from _questions_of_leads(rows, filters)
    elif not filters.any:
        yield rows.order_by("-pk")
    else:
        yield from _answerable(
            rows,
            [filters.event] if filters.event else [],
            [filters.outcome] if filters.outcome else [],
            newest_first=True,
        )


def _answerable(
    rows: QuerySet[Delivery], types: Collection[str], states: Collection[str], *, newest_first: bool
) -> Iterator[QuerySet[Any]]:
    """What waits, and what has ended: by each event with each outcome."""
    if not states or DeliveryState.WAITING in states:
        yield _waiting(rows.filter(type__in=types) if types else rows, newest_first=newest_first)
    # Said twice: SQLite takes a partial index only for a query that has its condition word for word.
    ended = rows.exclude(state=DeliveryState.WAITING).order_by("-pk" if newest_first else "pk")
    for state in _ENDED:
        if not states or state in states:
            for event in types or list(EventType):
                yield ended.filter(type=event, state=state)


def _questions_of_leads(rows: QuerySet[Delivery], filters: Filters) -> Iterator[QuerySet[Any]]:
    """A lead's deliveries are few enough to be looked through for the other filters."""
    if filters.event:
        rows = rows.filter(type=filters.event)
    for lead_id in leads_named(filters.lead):
        of_lead = rows.filter(lead_id=lead_id)
        if filters.outcome in {None, DeliveryState.WAITING}:
            yield _waiting(of_lead)
        if states := _ended(filters.outcome):
            ended = of_lead.exclude(state=DeliveryState.WAITING).order_by("-pk")
            yield ended if len(states) > 1 else ended.filter(state=states[0])


def _ended(outcome: DeliveryState | None) -> list[str]:
    if outcome is None:
        return _ENDED
    return [] if outcome is DeliveryState.WAITING else [outcome.value]


def _waiting(rows: QuerySet[Delivery], *, newest_first: bool = True) -> QuerySet[Delivery]:
    """Sorted by an expression: or else the planner, sure of finding many, walks through all rows from their end."""
    by = F("pk") + 0
    return rows.filter(state=DeliveryState.WAITING).order_by(by.desc() if newest_first else by.asc())


def _first_ids(questions: Sequence[QuerySet[Any]], limit: int, *, newest_first: bool) -> list[int]:
    if not questions:
        return []
    parts, parameters = _compiled(question.values("pk")[:limit] for question in questions)
    answers = " UNION ALL ".join(
        f"SELECT pk FROM ({part}) AS answer_{number}"  # noqa: S608  # compiled by Django
        for number, part in enumerate(parts)
    )
    direction = "DESC" if newest_first else "ASC"
    with connection.cursor() as cursor:
        cursor.execute(f"{answers} ORDER BY pk {direction} LIMIT {int(limit)}", parameters)
        return [pk for (pk,) in cursor.fetchall()]


def _compiled(queries: Iterable[QuerySet[Any, Any]]) -> tuple[list[str], list[Any]]:
    """Django joins no queries with a limit on SQLite, so the statements are put together here."""
    parts: list[str] = []
    parameters: list[Any] = []
    for query in queries:
        part, values = query.query.sql_with_params()
        parts.append(part)
        parameters += values
    return parts, parameters
