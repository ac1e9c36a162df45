"""The base of every resource's view: who acts, one unit of work a write, lists, single objects, headers."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar, Final, Protocol, TypeAlias, cast

import orjson
from django.conf import settings
from django.db import models
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from calliyo.actor import SYSTEM, Actor, acting_as
from calliyo.api import sync
from calliyo.api.filters import BIGGEST_ID, StrictFilterSet, filtered
from calliyo.api.pagination import Cursor, Ordering, binding, read_limit, read_page
from calliyo.api.parameters import check_parameters
from calliyo.api.parsers import MAX_BODY_BYTES
from calliyo.api.problems import FieldError, Refusal, refuse_values
from calliyo.unit_of_work import unit_of_work

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LIST_PARAMETERS: Final = frozenset({"cursor", "limit", "ordering"})
_SYNC_PARAMETERS: Final = frozenset({"updated_after", "updated_before"})
_SYNC_ORDERING: Final = Ordering(field="updated_at", descending=False)


# Called with a write's answer inside its unit of work; gives the answer that is sent.
Finish: TypeAlias = Callable[[HttpResponseBase], HttpResponseBase]


class _Authenticated(Protocol):
    actor: Actor


class ApiView(APIView):
    """A view under `/public/`: the rate limit first, then the scope, then the body, then the work."""

    metadata_class = None  # OPTIONS is answered below
    _unreadable: Exception | None = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Besides REST framework's: an answer is for this key alone, and asked for again each time."""
        return {**super().default_response_headers, "Cache-Control": "private, no-cache"}

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As REST framework's, but a writing method runs in one unit of work, its body parsed before it."""
        self.args, self.kwargs = args, kwargs
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        response: HttpResponseBase
        try:
            self.initial(asked, *args, **kwargs)
            refuse_unreadable(asked)
            handler = self._handler(asked)
            with acting_as(self.actor(asked)):
                response = self._work(handler, asked)
        except Exception as error:  # noqa: BLE001  # every error is an answer of the contract's form
            response = self.handle_exception(error)
        self.response = self.finalize_response(asked, cast("Response", response), *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Throttles before it asks for scopes: every answer to a valid token tells how much is left."""
        self.format_kwarg = None
        self.perform_authentication(request)
        self.check_throttles(request)
        self.check_permissions(request)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)

    def actor(self, request: Request) -> Actor:
        """Who acts in this request: the caller that authentication found."""
        caller = cast("_Authenticated | None", request.auth)
        return caller.actor if caller else SYSTEM

    def rate_cost(self, request: Request) -> float:
        """What this request takes from the key's rate limit."""
        return 1

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Tells the methods in `Allow`, and nothing else."""
        return Response(status=204)

    def _handler(self, request: Request) -> Callable[..., HttpResponseBase]:
        method = (request.method or "").lower()
        known = method in self.http_method_names
        return getattr(self, method, self.http_method_not_allowed) if known else self.http_method_not_allowed

    def _work(self, handler: Callable[..., HttpResponseBase], request: Request) -> HttpResponseBase:
        if request.method in _READING or handler == self.http_method_not_allowed:
            return handler(request, *self.args, **self.kwargs)
        write = partial(self._write, handler, request)
        if request.method == "POST" and "HTTP_IDEMPOTENCY_KEY" in request.META:
            return _answer_once()(self, request, write)
        return write(None)

    def _write(
        self, handler: Callable[..., HttpResponseBase], request: Request, finish: Finish | None
    ) -> HttpResponseBase:
        self.body(request)  # what cannot be read is refused before a transaction is open
        return _in_one_unit(partial(handler, request, *self.args, **self.kwargs), finish)

    def body(self, request: Request) -> Any:
        """The parsed body. What is wrong with it is raised each time: REST framework does so only once."""
        if self._unreadable is not None:
            raise self._unreadable
        try:
            refuse_unreadable(request)
            _ = request.body  # before the parser takes the stream: its bytes may be compared
            data = request.data
        except Exception as error:
            self._unreadable = error
            raise
        return data


@unit_of_work
def _in_one_unit(work: Callable[[], HttpResponseBase], finish: Finish | None) -> HttpResponseBase:
    answer = work()
    return answer if finish is None else finish(answer)


@cache
def _answer_once() -> Callable[[ApiView, Request, Callable[[Finish], HttpResponseBase]], HttpResponseBase]:
    return import_string(settings.CALLIYO_ANSWER_ONCE)  # type: ignore[no-any-return]  # as the setting promises


def refuse_unreadable(request: Request) -> None:
    """Refuses a body that is too large or of unknown length by its headers, before a byte of it is read."""
    if (
        "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        and "CONTENT_LENGTH" not in request.META
    ):
        raise Refusal(status=411, code="length_required", detail="Send the body with a Content-Length.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise Refusal(status=400, code="bad_request", detail="Content-Length is not a number.")
    if len(length) > 18 or int(length) > MAX_BODY_BYTES:
        detail = f"A body has at most {MAX_BODY_BYTES} bytes."
        raise Refusal(status=413, code="too_large", detail=detail)


class ResourceViewSet(ViewSetMixin, ApiView):
    """A resource: its list and its single objects, read as rows of plain values.

    Subclasses say which rows and columns, which filters, and the pictures of rows.
    """

    model: ClassVar[type[models.Model]]
    columns: ClassVar[tuple[str, ...]]
    filters: ClassVar[type[StrictFilterSet]] = StrictFilterSet
    orderings: ClassVar[tuple[str, ...]] = ("id", "created_at", "updated_at")
    default_ordering: ClassVar[str] = "-id"
    lookup_value_regex = "[^/]+"

    def rows(self) -> "models.QuerySet[Any, Any]":
        """What this caller may see."""
        return self.model._default_manager.all()

    def list_name(self) -> str:
        """What tells this list's cursors from those of the others."""
        raise NotImplementedError

    def columns_read(self) -> tuple[Any, ...]:
        """What is read of each row; the plain columns first, whatever a subclass adds behind them."""
        return self.columns

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """The rows in their JSON shape."""
        raise NotImplementedError

    # ── Lists ───────────────────────────────────────────────────────────────────────────────────────────
    def list(self, request: Request) -> Response:
        """One page, and how to go on from it."""
        query = request.query_params
        check_parameters(
            query, known=self.filters.names() | _LIST_PARAMETERS, repeatable=self.filters.repeatable_names()
        )
        ordering, limit = self._ordering(request), read_limit(query)
        bound_to = binding(self.list_name(), query, ordering)
        cursor = Cursor.read(query["cursor"], bound_to) if "cursor" in query else None
        as_of = (cursor and cursor.as_of) or sync.spelled(sync.horizon(self.model))
        rows = filtered(self.rows(), query, self.filters)
        if "updated_after" in query:
            rows = rows.filter(sync.up_to(as_of))
        page = read_page(
            rows.values_list(*self.columns_read()),
            columns=self.columns,
            ordering=ordering,
            cursor=cursor,
            limit=limit,
            as_of=as_of,
        )
        return Response(
            {
                "next": self._address(page.next, bound_to),
                "previous": self._address(page.previous, bound_to),
                "as_of": as_of,
                "results": self.pictures(page.rows),
            }
        )

    def _ordering(self, request: Request) -> Ordering:
        text = request.query_params.get("ordering")
        syncing = not _SYNC_PARAMETERS.isdisjoint(request.query_params)
        if text is None:
            return _SYNC_ORDERING if syncing else Ordering.named(self.default_ordering)
        ordering = Ordering.named(text)
        if ordering.field not in self.orderings:
            words = ", ".join(self.orderings)
            detail = f"Must be one of {words}, or one of them with a - before it."
            raise refuse_values(FieldError(field="ordering", code="invalid_choice", detail=detail))
        if syncing and ordering != _SYNC_ORDERING:
            detail = "With updated_after or updated_before a list is ordered by updated_at."
            raise refuse_values(FieldError(field="ordering", code="invalid_choice", detail=detail))
        return ordering

    def _address(self, cursor: Cursor | None, bound_to: str) -> str | None:
        if cursor is None:
            return None
        query = self.request.query_params.copy()
        query["cursor"] = cursor.signed(bound_to)
        return self.request.build_absolute_uri(f"{self.request.path}?{query.urlencode()}")

    # ── Single objects ──────────────────────────────────────────────────────────────────────────────────
    def retrieve(self, request: Request, pk: str) -> HttpResponse:
        """One object, with an `ETag` that `If-None-Match` may name."""
        check_parameters(request.query_params, known=())
        return self.object_answer(self.picture_of(read_id(pk)))

    def picture_of(self, pk: int) -> dict[str, Any]:
        """The picture of one row; a 404 when there is none that this caller may see."""
        found = list(self.rows().filter(pk=pk).values_list(*self.columns_read()))
        if not found:
            raise Http404
        return self.pictures(found)[0]

    def object_answer(self, picture: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
        """`picture` as an answer with its `ETag`, or 304 where the caller has this very answer."""
        return tagged_answer(self.request, orjson.dumps(picture), version=picture["version"], status=status)

    def check_if_match(self, pk: int) -> None:
        """Refuses with 412 when `If-Match` names another version than the row's, which is locked from here."""
        wanted = _etags(self.request, "If-Match")
        if not wanted:
            return
        rows = self.rows().select_for_update(no_key=True, of=("self",))
        version = rows.filter(pk=pk).values_list("version", flat=True).first()
        if version is None:
            raise Http404
        versions = {etag.strip('"').partition(".")[0] for etag in wanted}
        if not versions & {"*", str(version)}:
            # Which version it is now is not for every key that may write.
            detail = "The object is not at that version any more; read it again."
            raise Refusal(status=412, code="precondition_failed", detail=detail)


class PublicRouter(SimpleRouter):
    """Routes without a trailing slash; one is tolerated, without a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


def tagged_answer(request: Request, content: bytes, *, version: int, status: int = 200) -> HttpResponse:
    """`content` (JSON) as an answer with its `ETag`, or 304 where the caller has this very answer."""
    etag = f'"{version}.{hashlib.sha256(content).hexdigest()[:16]}"'
    if request.method in _READING and etag in _etags(request, "If-None-Match"):
        return HttpResponse(status=304, headers={"ETag": etag})
    return HttpResponse(content, status=status, content_type="application/json", headers={"ETag": etag})


def read_id(text: str) -> int:
    """The id in a path; what is no id names nothing, so it is a 404."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > BIGGEST_ID:
        raise Http404
    return int(text)


def _etags(request: Request, header: str) -> frozenset[str]:
    parts = (part.strip().removeprefix("W/") for part in request.headers.get(header, "").split(","))
    return frozenset(part for part in parts if part)
