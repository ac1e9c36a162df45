"""`/public/webhooks/{id}/deliveries`: what was queued for one webhook, and what came of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import django_filters
from django import forms
from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery
from django.http import QueryDict
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from apikeys.callers import caller_of
from apikeys.permissions import ANY_KEY
from calliyo.api.asked import Asked, Rows
from calliyo.api.described import described
from calliyo.api.filters import (
    IdFilter,
    MomentFilter,
    NamedFilterSet,
    RepeatableFilter,
    WordField,
    filtered,
)
from calliyo.api.lists import Pictures
from calliyo.api.pagination import Cursor, Ordering, Page, Slice
from calliyo.api.views import ResourceViewSet
from calliyo.statements import Parameter
from webhooks.api.shapes import DELIVERY_COLUMNS, EVENTS, DeliveryShape, delivery_picture
from webhooks.api.webhooks import OWN_WEBHOOKS, own_webhook
from webhooks.delivery_log import ids_in
from webhooks.feed.place import uid_of
from webhooks.models import Delivery, DeliveryState, Event

WEBHOOK: Final = "webhook"  # the parameter of statements that stands for the webhook's id
_SEQUENCE_NAMES: Final = ("sequence_after", "sequence_before")
_FOUND_BY_THE_LOG: Final = frozenset({"state", "type"})
_BY_SEQUENCE: Final = Ordering(field="sequence", descending=False)


class EventIdField(forms.Field):
    """An event's id: `evt_…`."""

    def to_python(self, value: Any) -> UUID | None:
        if value in self.empty_values:
            return None
        uid = uid_of(value)
        if uid is None:
            raise forms.ValidationError("Must be an event's id, such as evt_0198….", code="invalid")
        return uid


class EventIdFilter(django_filters.Filter):
    field_class = EventIdField

    def filter(self, qs: Any, value: UUID | None) -> Any:
        return qs.filter(event_id__in=Event.objects.filter(uid=value).values("pk")) if value else qs


class DeliveryFilters(NamedFilterSet):
    """`sequence_after` and `_before` are exclusive: behind the last number that a receiver has."""

    state = RepeatableFilter("state", each=WordField(words=DeliveryState.values))
    type = RepeatableFilter("type", each=WordField(words=EVENTS))
    event_id = EventIdFilter()
    sequence_after = IdFilter("sequence", "gt")
    sequence_before = IdFilter("sequence", "lt")
    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")


class DeliveryViewSet(ResourceViewSet):
    """Newest first; by `sequence_after` in the order of the numbers.

    By `state` and `type` the page's ids are found first, as `webhooks.delivery_log` finds them: however rare they are.
    """

    resource = ANY_KEY
    permission_classes = OWN_WEBHOOKS
    model = Delivery
    columns = DELIVERY_COLUMNS
    shape = DeliveryShape
    filters = DeliveryFilters
    orderings = ("id",)
    sync_field = "created_at"
    _webhook_id: int

    @classmethod
    def rows(cls) -> "QuerySet[Any, Any]":
        """Those of one webhook."""
        return Delivery.objects.filter(webhook_id=Parameter(WEBHOOK, BigIntegerField()))

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        """With the event's id, for as long as the event is kept."""
        return (*cls.columns, Subquery(Event.objects.filter(pk=OuterRef("event_id")).values("uid")[:1]))

    def parameters(self) -> dict[str, Any]:
        """Whose."""
        return {WEBHOOK: self._webhook_id}

    def list_name(self) -> str:
        return f"webhook-{self._webhook_id}-deliveries"

    @described(name="list_deliveries", summary="List a webhook's deliveries")
    def list(self, request: Request, pk: str) -> HttpResponseBase:  # type: ignore[override]  # it lies below another
        """The webhook's deliveries; a 404 where the caller did not make it."""
        self._webhook_id = own_webhook(caller_of(request), pk).pk
        return super().list(request)

    def pictures(self, rows: Rows) -> Pictures:
        scopes = caller_of(self.request).scopes
        return [delivery_picture(row[:-1], _event_id(row[-1]), scopes) for row in rows]

    def _read(self, asked: Asked, cursor: Cursor | None, piece: Slice) -> Page:
        query = self.request.query_params
        if asked.ordering.field == "id" and not _FOUND_BY_THE_LOG.isdisjoint(query):
            asked = replace(asked, rows=self.rows().filter(pk__in=self._ids(cursor, piece)))
        return super()._read(asked, cursor, piece)

    def _ids(self, cursor: Cursor | None, piece: Slice) -> Sequence[int]:
        query = self.request.query_params.copy()
        types, states = (query.pop(name, []) for name in ("type", "state"))
        rows = filtered(Delivery.objects.filter(webhook_id=self._webhook_id), query, DeliveryFilters)
        if cursor is not None:
            rows = rows.filter(**{f"pk__{piece.comparison}": cursor.position[0]})
        return ids_in(rows, types=types, states=states, size=piece.limit + 1, newest_first=piece.descending)

    def _ordering(self, query: QueryDict) -> Ordering:
        numbered = any(name in query for name in _SEQUENCE_NAMES)
        return _BY_SEQUENCE if numbered and "ordering" not in query else super()._ordering(query)

    @classmethod
    def _sync_names(cls) -> tuple[str, str]:
        # Its rows change after they are created, so it is no list to keep in sync by: no parameter has this name.
        return "", ""


def _event_id(uid: UUID | None) -> str | None:
    return None if uid is None else f"evt_{uid.hex}"
