"""Lists of the public API: which rows, in which order, and how they are shown; pages here, streams in `streams`.

The statement of a page is compiled once for each kind of page (`page_statement`); only a list that is filtered by
more than times is compiled anew, as its filters may ask for anything.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import orjson
from django.core.exceptions import EmptyResultSet
from django.db import models
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from calliyo.api import sync
from calliyo.api.asked import Ahead, Asked, PlannedPage, Rows, Shown
from calliyo.api.etags import digest, is_known
from calliyo.api.filters import (
    NamedFilterSet,
    StrictFilterSet,
    filtered,
    is_only_times,
    read_times,
    within_times,
)
from calliyo.api.pagination import (
    Cursor,
    Ordering,
    Page,
    Slice,
    binding,
    position_values,
    read_limit,
)
from calliyo.api.parameters import check_parameters
from calliyo.api.problems import FieldError, Refusal, refuse_values
from calliyo.api.renderers import JSONRenderer
from calliyo.api.shapes import Shape
from calliyo.api.streams import BATCH, FORMATS, StreamRenderer, streamed
from calliyo.fields import MomentField
from calliyo.statements import Parameter, Statement

AS_OF_HEADER: Final = "X-Calliyo-As-Of"
SHOWING: Final = frozenset({"fields", "expand"})
_PAGING: Final = frozenset({"cursor", "limit"})
_PLAIN: Final = _PAGING | {"ordering", "fields"}
Renderers = list[BaseRenderer]
Pictures = list[dict[str, Any]]
_AS_OF: Final = Parameter("as_of", MomentField())


class Listing:
    """A list. Subclasses say which rows and columns, which filters, and the pictures of rows.

    `rows` and `columns_read` are compiled once and for all callers: what differs by caller is a `Parameter` there, and
    its value in `parameters`.
    """

    model: ClassVar[type[models.Model]]
    columns: ClassVar[tuple[str, ...]]
    filters: ClassVar[type[NamedFilterSet]] = StrictFilterSet
    orderings: ClassVar[tuple[str, ...]] = ("id", "created_at", "updated_at")
    default_ordering: ClassVar[str] = "-id"
    # What the JSON of one row holds.
    shape: ClassVar[type[Shape]]
    # By `<moment>_after` and `_before` of this field a reader keeps in sync.
    sync_field: ClassVar[str] = "updated_at"
    renderer_classes: Any = (JSONRenderer, *FORMATS)
    request: Any  # REST framework's; a plain list has no view's own
    # Whether a page without filters depends on nothing of who asks but the key's id.
    needs_only_the_key: ClassVar[bool] = False
    ahead: Ahead | None = None
    _plan: PlannedPage | None = None

    @classmethod
    def rows(cls) -> "models.QuerySet[Any, Any]":
        """What a caller may see."""
        return cls.model._default_manager.all()

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        """What is read of each row; the plain columns first, whatever a subclass adds behind them."""
        return cls.columns

    @classmethod
    def expandable(cls) -> "Mapping[str, type[Listing]]":
        """What may be embedded in a row, and as a row of which list."""
        return {}

    def parameters(self) -> dict[str, Any]:
        """The values of the parameters in `rows` and `columns_read`."""
        return {}

    def list_name(self) -> str:
        """What tells this list's cursors and files from those of the others."""
        raise NotImplementedError

    def pictures(self, rows: Rows) -> Pictures:
        """The rows in their JSON shape."""
        raise NotImplementedError

    def check_expansions(self, names: Sequence[str]) -> None:
        """Refuses what this caller may not read."""

    def expansions(self, name: str, ids: set[int]) -> Mapping[int, dict[str, Any]]:
        """The pictures of the rows with these ids that are embedded under `name`."""
        raise NotImplementedError

    # ── One page ────────────────────────────────────────────────────────────────────────────────────────
    def list(self, request: Request) -> HttpResponseBase:
        """One page, and how to go on from it; or the whole of the list, where the caller wants a stream."""
        renderer = request.accepted_renderer
        if isinstance(renderer, StreamRenderer):
            return self._stream(request, renderer)
        query = request.query_params
        plan = self._plan or self._planned(query)
        # Needs no rows: while they are on their way.
        address = self._address_without_cursor()
        found = self._page_ahead(plan, self.ahead) if self.ahead is not None else self._page(query, plan)
        if found is None:
            return HttpResponse(status=401)  # shown to nobody: the view begins anew
        as_of, page = found
        content = orjson.dumps(self.shown(page.rows, plan.shown))
        # Of what the page holds: `as_of` is another one each time, and a reader may go on from an older one.
        etag = f'"{digest(content)}.{int(page.previous is not None)}{int(page.next is not None)}"'
        headers = {"ETag": f"W/{etag}"}
        if is_known(request, etag):
            return HttpResponse(status=304, headers={**headers, AS_OF_HEADER: as_of})
        body = orjson.dumps(
            {
                "next": page.next and f"{address}cursor={page.next.signed(plan.bound_to)}",
                "previous": page.previous and f"{address}cursor={page.previous.signed(plan.bound_to)}",
                "as_of": as_of,
                "results": orjson.Fragment(content),
            }
        )
        return HttpResponse(body, content_type=JSONRenderer.media_type, headers=headers)

    def _page(self, query: QueryDict, plan: PlannedPage) -> tuple[str, Page]:
        """Up to which moment the list is complete, and the page."""
        # Before anything else is read: what commits from here on bears a later stamp.
        as_of = (plan.cursor.as_of if plan.cursor else None) or sync.spelled(self._horizon())
        return as_of, self._read(self._asked(query, plan.ordering, as_of), plan.cursor, plan.piece)

    def _page_ahead(self, plan: PlannedPage, ahead: Ahead) -> tuple[str, Page] | None:
        """As `_page`; None when the key is not what it was."""
        found = ahead.found()
        if found is None:
            return None
        told, rows = found
        as_of = plan.cursor.as_of if plan.cursor else told
        if as_of is None:  # a page without a horizon is none: see `HorizonHere`
            return self._page(self.request.query_params, plan)
        return as_of, plan.piece.page(rows, self.columns, cursor=plan.cursor, as_of=as_of)

    def planned_ahead(self, request: Request) -> PlannedPage | None:
        """The page that is asked for, where `needs_only_the_key` holds for it.

        None for any other, and where the query string is wrong: that is told when its turn comes.
        """
        query = request.query_params
        if self.needs_only_the_key and query.keys() <= _PLAIN:
            with contextlib.suppress(Refusal):
                self._plan = self._planned(query)
        return self._plan

    def _planned(self, query: QueryDict) -> PlannedPage:
        self._check(query, known=_PAGING)
        ordering = self._ordering(query)
        bound_to = binding(self.list_name(), query, ordering)
        shown, limit = self.read_shown(query), read_limit(query)
        cursor = Cursor.read(str(query["cursor"]), bound_to) if "cursor" in query else None
        return PlannedPage(
            shown=shown,
            ordering=ordering,
            piece=Slice.at(cursor, ordering=ordering, limit=limit),
            bound_to=bound_to,
            cursor=cursor,
        )

    def get_renderers(self) -> Renderers:
        """JSON; for lists, streams too."""
        known = self.renderer_classes if getattr(self, "action", None) == "list" else (JSONRenderer,)
        return [renderer() for renderer in known]

    def _check(self, query: QueryDict, *, known: frozenset[str]) -> None:
        names, repeatable = _known_names(self.filters, known)
        check_parameters(query, known=names, repeatable=repeatable)

    def _horizon(self) -> datetime:
        asked_with_the_key: datetime | None = getattr(self.request.auth, "horizon", None)
        return asked_with_the_key or sync.horizon(self.model, self.sync_field)

    def _asked(self, query: QueryDict, ordering: Ordering, as_of: str) -> Asked:
        simple = is_only_times(query, self.filters)
        return Asked(
            ordering=ordering,
            as_of=as_of,
            times=read_times(query, self.filters) if simple else {},
            ends_at_as_of=self._sync_names()[0] in query,
            rows=None if simple else filtered(self.rows(), query, self.filters),
        )

    def _read(self, asked: Asked, cursor: Cursor | None, piece: Slice) -> Page:
        values = {
            **self.parameters(),
            **asked.times,
            **position_values(self.model, asked.ordering, cursor),
            "as_of": asked.as_of,
        }
        if asked.rows is None:
            times = tuple(sorted(asked.times))
            statement = page_statement(
                type(self),  # type: ignore[arg-type]  # classes can be hashed
                piece,
                times,
                ends_at_as_of=asked.ends_at_as_of,
            )
            # By other times than those of a sync, which index serves depends on how many rows there are in them.
            found = statement.fetch(values, prepared=set(times) <= set(self._sync_names()))
        else:
            rows = _ending(type(self), asked.rows, ends_at_as_of=asked.ends_at_as_of)
            found = _found(piece.of(rows.values_list(*self.columns_read())), values)
        return piece.page(found, self.columns, cursor=cursor, as_of=asked.as_of)

    def _ordering(self, query: QueryDict) -> Ordering:
        text = query.get("ordering")
        in_sync = Ordering(field=self.sync_field, descending=False)
        syncing = any(name in query for name in self._sync_names())
        if text is None:
            return in_sync if syncing else Ordering.named(self.default_ordering)
        ordering = Ordering.named(text)
        if ordering.field not in self.orderings:
            words = ", ".join(self.orderings)
            detail = f"Must be one of {words}, or one of them with a - before it."
            raise refuse_values(FieldError(field="ordering", code="invalid_choice", detail=detail))
        if syncing and ordering != in_sync:
            detail = f"With {' or '.join(self._sync_names())} a list is ordered by {self.sync_field}."
            raise refuse_values(FieldError(field="ordering", code="invalid_choice", detail=detail))
        return ordering

    @classmethod
    def _sync_names(cls) -> tuple[str, str]:
        return _bounds_of(cls.sync_field)

    def _address_without_cursor(self) -> str:
        """The list's own address with its filters, up to where a cursor goes."""
        request = self.request
        kept = [(name, values) for name, values in request.query_params.lists() if name != "cursor"]
        query = f"{urlencode(kept, doseq=True)}&" if kept else ""
        return f"{request.scheme}://{request.get_host()}{escape_uri_path(request.path)}?{query}"

    # ── All of it ───────────────────────────────────────────────────────────────────────────────────────
    def _stream(self, request: Request, renderer: StreamRenderer) -> HttpResponseBase:
        query = request.query_params
        self._check(query, known=frozenset())
        shown = self.read_shown(query)
        asked = self._asked(query, self._ordering(query), sync.spelled(self._horizon()))
        lines = renderer.lines(type(self), shown.fields, shown.expand)
        response = streamed(
            lambda cursor: self._read(asked, cursor, Slice.at(cursor, ordering=asked.ordering, limit=BATCH)),
            lambda rows: lines(self.shown(rows, shown)),
            renderer=renderer,
            name=self.list_name(),
            empty=request.method == "HEAD",
        )
        response[AS_OF_HEADER] = asked.as_of
        return response

    # ── How rows are shown ──────────────────────────────────────────────────────────────────────────────
    def read_shown(self, query: QueryDict) -> Shown:
        """What `fields` and `expand` ask for; refuses names that are not known, and what the caller may not read."""
        fields = _names(query, "fields", known=self.shape.members)
        expand = _names(query, "expand", known=self.expandable) or ()
        self.check_expansions(expand)
        return Shown(fields=fields, expand=expand)

    def shown(self, rows: Rows, shown: Shown) -> Pictures:
        """The rows in their JSON shape, with what is embedded, and without the fields that were not asked for."""
        pictures = self.pictures(rows)
        embedded = {name: self._embedded(name, pictures) for name in shown.expand}
        if shown.fields is not None:
            chosen = [{name: picture[name] for name in shown.fields} for picture in pictures]
        else:
            chosen = pictures
        for name, others in embedded.items():
            for picture, choice in zip(pictures, chosen, strict=True):
                choice[name] = others.get(picture[f"{name}_id"])
        return chosen

    def _embedded(self, name: str, pictures: Pictures) -> Mapping[int, dict[str, Any]]:
        ids = {picture[f"{name}_id"] for picture in pictures} - {None}
        return self.expansions(name, ids) if ids else {}


@lru_cache(maxsize=1024)
def page_statement(
    listing: type[Listing], piece: Slice, times: tuple[str, ...], *, ends_at_as_of: bool
) -> Statement:
    """The statement of a kind of page: of these times, and with an end or not; its values are open."""
    rows = _ending(listing, within_times(listing.rows(), times, listing.filters), ends_at_as_of=ends_at_as_of)
    return Statement.of(piece.of(rows.values_list(*listing.columns_read())))


def _found(rows: "models.QuerySet[Any, Any]", values: Mapping[str, Any]) -> Rows:
    try:
        return Statement.of(rows).fetch(values, prepared=False)
    except EmptyResultSet:  # its filters leave nothing, as Django sees before it asks
        return []


@lru_cache
def one_row(listing: type[Any]) -> Statement:
    """The statement that reads the row with the id `pk`."""
    pk = Parameter("pk", models.BigIntegerField())
    return Statement.of(listing.rows().filter(pk=pk).values_list(*listing.columns_read()))


def _ending(
    listing: type[Listing], rows: "models.QuerySet[Any, Any]", *, ends_at_as_of: bool
) -> "models.QuerySet[Any, Any]":
    return rows.filter(sync.up_to(_AS_OF, listing.sync_field)) if ends_at_as_of else rows


@cache
def _bounds_of(field: str) -> tuple[str, str]:
    stem = field.removesuffix("_at")
    return f"{stem}_after", f"{stem}_before"


@lru_cache
def _known_names(
    filters: type[NamedFilterSet], others: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """What a query string of such a list may name; and what it may name more than once."""
    return (
        filters.names() | others | SHOWING | {"ordering"},
        filters.repeatable_names() | SHOWING,
    )


def _names(query: QueryDict, parameter: str, *, known: Callable[[], Iterable[str]]) -> tuple[str, ...] | None:
    """The names in a comma-separated parameter, which may be sent again; each once. None where it was not sent."""
    if parameter not in query:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in ",".join(query.getlist(parameter)).split(",")))
    all_known = tuple(known())
    unknown = [name for name in names if name not in all_known]
    if unknown:
        words = ", ".join(all_known) or "nothing"
        detail = f"There is no {unknown[0][:100]!r} here; known: {words}."
        raise refuse_values(FieldError(field=parameter, code="invalid_choice", detail=detail))
    return names
