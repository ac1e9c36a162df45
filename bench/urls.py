"""Calliyo's addresses, and those of the views that its list is measured against; all under the same middleware."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request

from apikeys.callers import API_KEY, CALLED_BY, Caller
from apikeys.models import APIKey
from apikeys.scopes import Scope
from bench.baseline.rest import FlatList, PlainList
from calliyo import urls
from calliyo.actor import SYSTEM
from calliyo.api.asked import Found
from calliyo.api.lists import page_statement
from calliyo.api.pagination import Slice, position_values
from calliyo.api.sync import HorizonHere
from calliyo.statements import Gated, Statement
from leads.api.leads import LeadViewSet

handler404 = urls.handler404
BODY_KEPT_IN = "bench-body"  # a file in the data folder; written before the view is asked

_SQL = """
    SELECT l.id, l.version, l.first_name, l.last_name, l.phone, l.email, l.status_id, s.name, l.owner_id,
        l.campaign_id, l.source, ARRAY(SELECT t.name FROM leads_leadtag lt JOIN leads_tag t ON t.id = lt.tag_id
        WHERE lt.lead_id = l.id), l.created_at, l.updated_at, l.converted_at
    FROM leads_lead l JOIN leads_leadstatus s ON s.id = l.status_id ORDER BY l.id DESC LIMIT 51
"""
_NAMES = (
    "id", "version", "first_name", "last_name", "phone", "email", "status_id", "status", "owner_id", "campaign_id",
    "source", "tags", "created_at", "updated_at", "converted_at",
)  # fmt: skip


@cache
def _body() -> bytes:
    return Path(settings.DATA_DIR, BODY_KEPT_IN).read_bytes()


def bare(_request: HttpRequest) -> HttpResponse:
    """The bytes of Calliyo's list, and no work for them."""
    return HttpResponse(_body(), content_type="application/json")


def bare_sql(_request: HttpRequest) -> HttpResponse:
    """The rows of the list by one statement written by hand, for everybody: no token, no limit, no filters."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL)
        rows = [dict(zip(_NAMES, row, strict=True)) for row in cursor.fetchall()]
    return HttpResponse(orjson.dumps({"results": rows}), content_type="application/json")


_NOBODY = Caller(key=APIKey(pk=0), actor=SYSTEM, scopes=frozenset(Scope))


@dataclass(frozen=True, slots=True)
class OpenPageAhead:
    """As `apikeys.lookup` has it, behind no key."""

    found: Callable[[], Found | None]


@cache
def _open_page(piece: Slice) -> Gated:
    horizon = Statement(sql=HorizonHere.asked, slots=(), converters=())
    return Gated.of(horizon, page_statement(LeadViewSet, piece, (), ends_at_as_of=False))


class OpenList(LeadViewSet):
    """Calliyo's list without token, scope and rate limit, and all else as there: its page ahead, its being counted."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.format_kwarg = None
        request.auth = _NOBODY
        request.META[CALLED_BY] = 0
        if plan := self.planned_ahead(request):
            position = position_values(self.model, plan.ordering, plan.cursor)
            self.ahead = OpenPageAhead(cache(_open_page(plan.piece).begin({API_KEY: 0, **position})))
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)


# Below `/public/`, so that each comes to its view by the way of the API's own requests.
urlpatterns = [
    path("public/bench/open", OpenList.as_view({"get": "list"}, detail=False)),
    path("public/bench/bare", bare),
    path("public/bench/sql", bare_sql),
    path("public/bench/flat", FlatList.as_view()),
    path("public/bench/rest", PlainList.as_view()),
    *urls.urlpatterns,
]
