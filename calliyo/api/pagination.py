"""Keyset pagination: a page begins after a row, not at a number, so its cost does not grow with its depth.

A cursor is opaque, signed, and bound to the list, its filters and its ordering: an edited one, or one of
another list, is refused.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson
from django.db import connection, models
from django.db.models.fields.tuple_lookups import (
    TupleGreaterThan,
    TupleGreaterThanOrEqual,
    TupleLessThan,
    TupleLessThanOrEqual,
)
from django.http import QueryDict
from django.utils.crypto import constant_time_compare, salted_hmac

from calliyo.api.problems import FieldError, Refusal, refuse_values
from calliyo.statements import Parameter

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_SALT: Final = "calliyo.api.pagination"
_SIGNATURE_LENGTH: Final = 22
# By (descending, inclusive).
_COMPARISONS: Final = {
    (False, False): ("gt", TupleGreaterThan),
    (False, True): ("gte", TupleGreaterThanOrEqual),
    (True, False): ("lt", TupleLessThan),
    (True, True): ("lte", TupleLessThanOrEqual),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """By one field and then by id, both the same way: one index serves it, and no two rows are equal."""

    field: str
    descending: bool

    @classmethod
    def named(cls, text: str) -> "Ordering":
        """`-created_at` and the like."""
        return cls(field=text.removeprefix("-"), descending=text.startswith("-"))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.field,) if self.field == "id" else (self.field, "id")

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page begins: after (backwards: before) the row at `position`; `as_of` goes along the walk.

    `inclusive`: with that row, for the way back from a page that turned out to be empty.
    """

    position: tuple[Any, ...]
    backwards: bool = False
    inclusive: bool = False
    as_of: str | None = None

    def signed(self, bound_to: str) -> str:
        """The cursor as opaque text that is read again for `bound_to` only."""
        payload = _encoded(orjson.dumps([self.position, self.backwards, self.inclusive, self.as_of]))
        return payload + _signature(payload, bound_to)

    @classmethod
    def read(cls, text: str, bound_to: str) -> "Cursor":
        """The cursor in `text`; a Refusal when it was not given for `bound_to`."""
        payload, signature = text[:-_SIGNATURE_LENGTH], text[-_SIGNATURE_LENGTH:]
        # Compared as bytes: a signature that is not ASCII is wrong, not an error.
        if not constant_time_compare(signature.encode(), _signature(payload, bound_to).encode()):
            raise _invalid_cursor()
        try:
            position, backwards, inclusive, as_of = orjson.loads(
                base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
            )
        except (binascii.Error, ValueError) as error:
            raise _invalid_cursor() from error
        return cls(position=tuple(position), backwards=backwards, inclusive=inclusive, as_of=as_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of one page, and the cursors beside it."""

    rows: list[Any]
    previous: Cursor | None
    next: Cursor | None


def read_limit(query: QueryDict) -> int:
    """How many rows the caller wants: 1 to 200, 50 when he does not say."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise refuse_values(
            FieldError(field="limit", code="invalid", detail=f"Must be from 1 to {MAX_LIMIT}.")
        )
    return limit


def binding(name: str, query: QueryDict, ordering: Ordering) -> str:
    """What a cursor holds for: the list, its filters and its ordering, but not the size of its pages."""
    filters = sorted(
        (key, sorted(values)) for key, values in query.lists() if key not in {"cursor", "limit", "ordering"}
    )
    return hashlib.sha256(orjson.dumps([name, filters, str(ordering)])).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The kind of a page: its order, its size, and from where it begins (`after` None: from the list's own start)."""

    ordering: Ordering
    limit: int
    after: tuple[bool, bool] | None  # (backwards, inclusive), as the cursor's

    @classmethod
    def at(cls, cursor: Cursor | None, *, ordering: Ordering, limit: int) -> "Slice":
        """The page that `cursor` asks for."""
        after = None if cursor is None else (cursor.backwards, cursor.inclusive)
        return cls(ordering=ordering, limit=limit, after=after)

    @property
    def backwards(self) -> bool:
        return self.after is not None and self.after[0]

    @property
    def descending(self) -> bool:
        """The way in which its rows are read, which is not that of the list on the way back."""
        return self.ordering.descending != self.backwards

    @property
    def comparison(self) -> str:
        """How its rows compare with the cursor's: `lt` and the like; none at the list's own start."""
        return "" if self.after is None else _COMPARISONS[self.descending, self.after[1]][0]

    def of(self, rows: "models.QuerySet[Any, Any]") -> "models.QuerySet[Any, Any]":
        """These rows of `rows`, and one more; the cursor's position stays open, as `position_values` gives it."""
        if self.after is not None:
            rows = rows.filter(self._beyond(rows.model, inclusive=self.after[1]))
        order_by = [f"-{column}" if self.descending else column for column in self.ordering.columns]
        return rows.order_by(*order_by)[: self.limit + 1]

    def page(
        self, found: list[Any], columns: Sequence[str], *, cursor: Cursor | None, as_of: str | None
    ) -> Page:
        """The page in what `of` found, whose rows begin with `columns`; and the cursors to the next ones."""
        more, rows = len(found) > self.limit, found[: self.limit]
        if self.backwards:
            rows.reverse()
        if rows:
            places = [columns.index(column) for column in self.ordering.columns]
            first, last = (tuple(row[place] for place in places) for row in (rows[0], rows[-1]))
        else:
            first = last = () if cursor is None else cursor.position
        has_previous, has_next = (more, True) if self.backwards else (cursor is not None, more)
        return Page(
            rows=rows,
            previous=Cursor(position=first, backwards=True, inclusive=not rows, as_of=as_of)
            if has_previous
            else None,
            next=Cursor(position=last, inclusive=not rows, as_of=as_of) if has_next else None,
        )

    def _beyond(self, model: type[models.Model], *, inclusive: bool) -> models.Q:
        """The rows behind the cursor's, as one comparison of rows: a single range of the index."""
        position = [
            Parameter(f"position_{place}", field) for place, field in enumerate(_fields(model, self.ordering))
        ]
        name, lookup_class = _COMPARISONS[self.descending, inclusive]
        if len(position) == 1:
            return models.Q(**{f"id__{name}": position[0]})
        lookup = lookup_class(tuple(models.F(column) for column in self.ordering.columns), position)
        if connection.features.supports_tuple_lookups:
            return models.Q(lookup)
        # Written out with OR, it is no range any more; this makes it one.
        return models.Q(
            lookup, **{f"{self.ordering.field}__{'lte' if self.descending else 'gte'}": position[0]}
        )


def position_values(model: type[models.Model], ordering: Ordering, cursor: Cursor | None) -> dict[str, Any]:
    """What a page's statement takes for where it begins."""
    if cursor is None:
        return {}
    fields = _fields(model, ordering)
    pairs = enumerate(zip(fields, cursor.position, strict=True))
    return {f"position_{place}": field.to_python(value) for place, (field, value) in pairs}


def _fields(model: type[models.Model], ordering: Ordering) -> "list[models.Field[Any, Any]]":
    return [cast("models.Field[Any, Any]", model._meta.get_field(column)) for column in ordering.columns]


def _signature(payload: str, bound_to: str) -> str:
    mac = salted_hmac(_SALT, f"{bound_to}:{payload}", algorithm="sha256").digest()
    return _encoded(mac[:16])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _invalid_cursor() -> Refusal:
    detail = "This cursor is not one that this list gave with these filters and this ordering."
    error = FieldError(field="cursor", code="invalid_cursor", detail=detail)
    return Refusal(status=400, code="invalid_cursor", detail=detail, errors=(error,))
