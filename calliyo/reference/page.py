"""`/public/docs`: the reference for people, made of the same document that programs get. Open to all."""

from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from calliyo.reference.document import document_for
from calliyo.reference.errors import ErrorKind
from calliyo.reference.reading import Event, Group, Reader, Row
from calliyo.reference.views import open_to_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the page shows."""

    base: str
    groups: list[Group]
    events: list[Event]
    event_headers: list[Row]
    errors: list[tuple[ErrorKind, str]]


@open_to_all
def docs(request: HttpRequest) -> HttpResponse:
    """The whole reference as one page."""
    reference = _reference(request.build_absolute_uri("/")[:-1])
    return render(request, "reference/docs.html", {"title": gettext("API reference"), "reference": reference})


@lru_cache(maxsize=8)
def _reference(base: str) -> Reference:
    reader = Reader(document_for(base))
    return Reference(
        base=base,
        groups=reader.groups(),
        events=reader.events(),
        event_headers=reader.event_headers(),
        errors=reader.errors(),
    )
