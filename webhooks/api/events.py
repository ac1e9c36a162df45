"""`/public/events`: the catch-up log of what a key may see, in the order in which it was committed."""

import time
from typing import Final

import orjson
from django import forms
from django.db import connection
from django.http import Http404, HttpResponse, QueryDict
from django.utils import timezone
from rest_framework.request import Request

from apikeys.callers import Caller, caller_of
from apikeys.models import APIKey
from apikeys.permissions import AnyOf, refused
from apikeys.scopes import Scope, in_order
from calliyo.api.described import Parameters, described
from calliyo.api.etags import tagged_answer
from calliyo.api.filters import LimitField, RepeatableField, WordField
from calliyo.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, read_limit
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import FieldError, refuse_values
from calliyo.api.views import ApiView
from webhooks.api.event_shapes import EventPageShape, EventShape
from webhooks.catalogue import CATALOGUE, EventType, needed_scope
from webhooks.feed.page import FeedPage, Reader, bodies_for, first_page, page_behind
from webhooks.feed.place import CursorExpired, UnknownPlace, uid_of
from webhooks.feed.waiting import WATCHER
from webhooks.models import Event

LONGEST_WAIT: Final = 30
EVENT_SCOPES: Final = AnyOf(tuple(in_order(kind.scope for kind in CATALOGUE.values())))
"""Each gives some of the events; a key needs one of them."""

PARAMETERS: Final[Parameters] = {
    "after": forms.CharField(
        help_text="A page's `next_after`, the id of an event, or `latest`; without it: from the oldest that is kept."
    ),
    "limit": LimitField(maximum=MAX_LIMIT, initial=DEFAULT_LIMIT, help_text="How many events at most."),
    "type": RepeatableField(each=WordField(words=EventType), help_text="Only events of these types."),
    "wait": LimitField(
        minimum=0,
        maximum=LONGEST_WAIT,
        initial=0,
        help_text="For how many seconds to wait until something comes.",
    ),
}


class EventsView(ApiView):
    """What happened, a page at a time; `next_after` leads on, and `wait` holds the answer until there is one."""

    resource = EVENT_SCOPES

    @described(
        name="list_events",
        summary="What happened since",
        parameters=PARAMETERS,
        answers={200: EventPageShape},
        refusals=(UnknownPlace, CursorExpired),
    )
    def get(self, request: Request) -> HttpResponse:
        """A page of the catch-up log of what the key may see. Keep `next_after` and send it as the next `after`."""
        query = request.query_params
        check_parameters(query, known=PARAMETERS, repeatable={"type"})
        reader = _reader(caller_of(request))
        types, limit, wait = _types(query, reader), read_limit(query), _wait(query)
        until = time.monotonic() + wait
        page = first_page(reader, after=query.get("after"), types=types, limit=limit)
        while wait and not page.bodies and not page.more:
            came = _waited(reader, page, types, until - time.monotonic())
            now_allowed = _reader_now(caller_of(request)) if came else None
            if now_allowed is None:
                break
            reader, types = now_allowed, types & now_allowed.types
            page = page_behind(reader, page.place, types=types, limit=limit)
        return _answer(page)


class EventView(ApiView):
    """One event by its id, as its webhook would tell it to this key now."""

    resource = EVENT_SCOPES

    @described(name="get_event", summary="Get an event", answers={200: EventShape})
    def get(self, request: Request, pk: str) -> HttpResponse:
        """One event, as its webhook would tell it to this key now."""
        check_parameters(request.query_params, known=())
        reader = _reader(caller_of(request))
        uid = uid_of(pk)
        event = None if uid is None else Event.objects.filter(uid=uid, type__in=reader.types).first()
        if event is None:
            raise Http404
        [body] = bodies_for(reader, [(event.lead_id, event.payload)])
        # What happened never changes, so there is but one version of it.
        return tagged_answer(request, body.encode(), version=1)


def _answer(page: FeedPage) -> HttpResponse:
    # The bodies are JSON already; reading and writing them again would be most of the work.
    more = b"true" if page.more else b"false"
    end = b'],"next_after":%b,"more":%b}' % (orjson.dumps(str(page.place)), more)
    content = b'{"results":[' + ",".join(page.bodies).encode() + end
    return HttpResponse(content, content_type="application/json")


def _waited(reader: Reader, page: FeedPage, types: frozenset[EventType], seconds: float) -> bool:
    """Waits behind the page; whether something may have come. Meanwhile this thread has no database connection."""
    if seconds <= 0:
        return False
    if not connection.in_atomic_block:
        connection.close()
    return WATCHER.wait(key_id=reader.key_id, types=types, after=page.place.position, seconds=seconds)


def _reader(caller: Caller) -> Reader:
    return Reader(key_id=caller.key.pk, scopes=caller.scopes)


def _reader_now(caller: Caller) -> Reader | None:
    """The reader as his key is now; None when what he came with opens nothing any more."""
    key = APIKey.objects.filter(pk=caller.key.pk, digest=caller.key.digest, active=True).first()
    if key is None or key.expired(timezone.now()):
        return None
    return Reader(key_id=key.pk, scopes=frozenset(key.scopes))


def _types(query: QueryDict, reader: Reader) -> frozenset[EventType]:
    """The types that are asked for, all that the reader may see unless he names some."""
    names = query.getlist("type")
    if unknown := set(names) - set(EventType):
        detail = f"There is no event {min(unknown)!r}."
        raise refuse_values(FieldError(field="type", code="invalid_choice", detail=detail))
    types = frozenset(EventType(name) for name in names)
    for hidden in sorted(types - reader.types):
        scope = Scope(needed_scope(hidden))
        raise refused(f"{hidden} needs the scope {scope}.", scope)
    return types or reader.types


def _wait(query: QueryDict) -> int:
    """For how many seconds the reader will wait: 0 to 30."""
    text = query.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= LONGEST_WAIT):
        detail = f"Must be whole seconds from 0 to {LONGEST_WAIT}."
        raise refuse_values(FieldError(field="wait", code="invalid", detail=detail))
    return int(text)
