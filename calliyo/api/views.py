"""The base of every resource's view: who acts, one unit of work a write, lists, single objects, headers."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeAlias, cast

import orjson
from django.conf import settings
from django.db import models
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from calliyo.actor import SYSTEM, Actor, acting_as
from calliyo.api.asked import Ahead
from calliyo.api.etags import named_etags, tagged_answer
from calliyo.api.lists import SHOWING, Listing, one_row
from calliyo.api.parameters import check_parameters
from calliyo.api.parsers import MAX_BODY_BYTES
from calliyo.api.problems import Refusal
from calliyo.api.renderers import ASKS_FOR_JSON
from calliyo.errors import DomainError
from calliyo.ids import read_id
from calliyo.unit_of_work import unit_of_work

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


# Called with a write's answer inside its unit of work; gives the answer that is sent.
Finish: TypeAlias = Callable[[HttpResponseBase], HttpResponseBase]


class _Authenticated(Protocol):
    actor: Actor


class ApiView(APIView):
    """A view under `/public/`: the rate limit first, then the scope, then the body, then the work."""

    metadata_class = None  # OPTIONS is answered below
    # The rules that its writes may break, for the API's description.
    refusals: ClassVar[tuple[type[DomainError], ...]] = ()
    # A write of many batches, or one that waits for others, is no unit of work: it opens its own.
    in_one_unit: ClassVar[bool] = True
    # Whether what is kept of an answer, for an `Idempotency-Key`, is to be encrypted.
    answers_hold_secrets: ClassVar[bool] = False
    # What a check before the work left to be awaited; it raises what it refuses after all.
    awaited: Callable[[], None] | None = None
    # The limits that this request has been charged to, by their buckets' names.
    charged: frozenset[int | str] = frozenset()
    # What authentication left to be read: until it is, the key is taken for what it was when it was last read.
    ahead: Ahead | None = None
    _unreadable: Exception | None = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        """An answer is for this key alone, and asked for again each time. `Allow` is told where it is asked for."""
        headers = {"Cache-Control": "private, no-cache"}
        if len(self.renderer_classes) > 1:
            headers["Vary"] = "Accept"
        return headers

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As REST framework's, but a writing method runs in one unit of work, its body parsed before it."""
        self.args, self.kwargs = args, kwargs
        while (response := self._attempt(request)) is None:
            pass
        self.response = self.finalize_response(self.request, cast("Response", response), *args, **kwargs)
        return self.response

    def _attempt(self, request: Any) -> HttpResponseBase | None:
        """The answer; None where it was made for a key that is not any more what it was taken for.

        Such an attempt has charged the key's limit, which the next one heeds, and done nothing else.
        """
        asked = self._begin(request)
        response: HttpResponseBase
        try:
            self.initial(asked, *self.args, **self.kwargs)
            refuse_unreadable(asked)
            handler = self._handler(asked)
            with acting_as(self.actor(asked)):
                response = self._work(handler, asked)
        except Exception as error:  # noqa: BLE001  # every error is an answer of the contract's form
            response = self.handle_exception(error)
        if self.awaited is not None:
            response = self._if_let_through(self.awaited, response)
        if self.ahead is None:
            return response
        try:  # whatever the answer is, a refusal too: it holds if the key is what it was
            return None if self.ahead.found() is None else response
        except Exception as error:  # noqa: BLE001  # as above
            return self.handle_exception(error)

    def _begin(self, request: Any) -> Request:
        self.request = asked = self.initialize_request(request, *self.args, **self.kwargs)
        self.headers = self.default_response_headers
        self.ahead = self.awaited = None
        return asked

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Throttles before it asks for scopes: every answer to a valid token tells how much is left."""
        self.format_kwarg = None
        self.perform_authentication(request)
        self.check_throttles(request)
        self.check_permissions(request)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)

    def reads_ahead(self, request: Request) -> bool:
        """Whether the request only reads what takes no time, so that its limit may be awaited meanwhile."""
        return False

    def _if_let_through(self, check: Callable[[], None], response: HttpResponseBase) -> HttpResponseBase:
        """The answer, or the refusal of the check that was not waited for."""
        try:
            check()
        except Exception as error:  # noqa: BLE001  # as above
            return self.handle_exception(error)
        return response

    def actor(self, request: Request) -> Actor:
        """Who acts in this request: the caller that authentication found."""
        caller = cast("_Authenticated | None", request.auth)
        return caller.actor if caller else SYSTEM

    def rate_cost(self, request: Request) -> float:
        """What this request takes from the key's rate limit."""
        return 1

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Tells the methods in `Allow`, and nothing else."""
        return Response(status=204, headers=self._allow())

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """A 405 that tells which methods there are (RFC 9110, section 15.5.6)."""
        self.headers |= self._allow()
        raise MethodNotAllowed(request.method)

    def _allow(self) -> dict[str, str]:
        return {"Allow": ", ".join(self.allowed_methods)}

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
        work = partial(handler, request, *self.args, **self.kwargs)
        return _in_one_unit(work, finish) if self.in_one_unit else _finished(work, finish)

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


def _finished(work: Callable[[], HttpResponseBase], finish: Finish | None) -> HttpResponseBase:
    answer = work()
    return answer if finish is None else finish(answer)


_in_one_unit = unit_of_work(_finished)


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


class ResourceViewSet(Listing, ViewSetMixin, ApiView):
    """A resource: its list (see `Listing`) and its single objects, read as rows of plain values."""

    lookup_value_regex = "[^/]+"

    def reads_ahead(self, request: Request) -> bool:
        """A list's page, or one object; but no stream."""
        return request.method in _READING and request.META.get("HTTP_ACCEPT", "") in ASKS_FOR_JSON

    # ── Single objects ──────────────────────────────────────────────────────────────────────────────────
    def retrieve(self, request: Request, pk: str) -> HttpResponse:
        """One object, with an `ETag` that `If-None-Match` may name."""
        query = request.query_params
        check_parameters(query, known=SHOWING, repeatable=SHOWING)
        shown = self.read_shown(query)
        row = self._row(id_in_path(pk))
        version = row[self.columns.index("version")]
        return tagged_answer(request, orjson.dumps(self.shown([row], shown)[0]), version=version)

    def picture_of(self, pk: int) -> dict[str, Any]:
        """The picture of one row; a 404 when there is none that this caller may see."""
        return self.pictures([self._row(pk)])[0]

    def _row(self, pk: int) -> tuple[Any, ...]:
        statement = one_row(type(self))  # type: ignore[arg-type]  # classes can be hashed
        found = statement.fetch({**self.parameters(), "pk": pk}, prepared=True)
        if not found:
            raise Http404
        return found[0]

    def rows_of_caller(self) -> "models.QuerySet[Any, Any]":
        """`rows` for a statement of its own: without open parameters."""
        return self.rows()

    def object_answer(self, picture: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
        """`picture` as an answer with its `ETag`, or 304 where the caller has this very answer."""
        return tagged_answer(self.request, orjson.dumps(picture), version=picture["version"], status=status)

    def check_if_match(self, pk: int) -> None:
        """Refuses with 412 when `If-Match` names another version than the row's, which is locked from here."""
        wanted = named_etags(self.request, "If-Match")
        if not wanted:
            return
        rows = self.rows_of_caller().select_for_update(no_key=True, of=("self",))
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


def id_in_path(text: str) -> int:
    """The id in a path; what is no id names nothing, so it is a 404."""
    number = read_id(text)
    if number is None:
        raise Http404
    return number
