"""A whole list as one answer: NDJSON or CSV, written while it is read, by one page's statement after the other.

Between two pages nothing of the database is held, however slowly the reader takes what is sent; and memory holds one
page. What fails before the first byte is a problem as ever; what fails later breaks the answer off.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol

import orjson
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from calliyo.api.pagination import Cursor, Page
from calliyo.api.shapes import Shape

BATCH: Final = 1_000
# What a spreadsheet takes for a formula. A plain number is none: `+919876543210` must stay as it is.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)

Pictures = list[dict[str, Any]]


class Shaped(Protocol):
    """What a list tells of its rows' shape."""

    shape: ClassVar[type[Shape]]

    @classmethod
    def expandable(cls) -> "Mapping[str, type[Any]]":
        """What may be embedded."""


class StreamRenderer(BaseRenderer):
    """Stands for a form in the choice by `Accept`; the bytes come from `lines`."""

    suffix: ClassVar[str]
    content_type: ClassVar[str]
    render_style = "binary"

    def lines(
        self, listing: type[Shaped], fields: tuple[str, ...] | None, expand: tuple[str, ...]
    ) -> Callable[[Pictures], bytes]:
        """What turns the pictures of each page into bytes; the first time with what a file begins with."""
        raise NotImplementedError


class NDJSONRenderer(StreamRenderer):
    """One JSON object a line."""

    media_type = "application/x-ndjson"
    content_type = "application/x-ndjson"
    format = suffix = "ndjson"
    charset = None

    def lines(
        self, listing: type[Shaped], fields: tuple[str, ...] | None, expand: tuple[str, ...]
    ) -> Callable[[Pictures], bytes]:
        return lambda pictures: b"".join(
            [orjson.dumps(picture, option=orjson.OPT_APPEND_NEWLINE) for picture in pictures]
        )


class CSVRenderer(StreamRenderer):
    """RFC 4180 with a header; what is nested has a dotted name (`status.name`), lists are joined by `;`.

    A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """

    media_type = "text/csv"
    content_type = "text/csv; charset=utf-8; header=present"
    format = suffix = "csv"

    def lines(
        self, listing: type[Shaped], fields: tuple[str, ...] | None, expand: tuple[str, ...]
    ) -> Callable[[Pictures], bytes]:
        paths = csv_columns(listing, fields, expand)
        begun = False

        def write(pictures: Pictures) -> bytes:
            nonlocal begun
            text = io.StringIO()
            writer = csv.writer(text)
            if not begun:
                writer.writerow([".".join(path) for path in paths])
                begun = True
            writer.writerows([_cell(picture, path) for path in paths] for picture in pictures)
            return text.getvalue().encode()

        return write


FORMATS: Final = (NDJSONRenderer, CSVRenderer)


def streamed(
    read: Callable[[Cursor | None], Page],
    write: Callable[[list[Any]], bytes],
    *,
    renderer: StreamRenderer,
    name: str,
    empty: bool,
) -> StreamingHttpResponse:
    """The answer that holds all pages from the first one on, which is read here; `empty`: its headers alone."""
    page = read(None)
    first, then = write(page.rows), page.next

    def pages() -> Iterator[bytes]:
        yield first
        cursor = then
        while cursor is not None:
            page = read(cursor)
            yield write(page.rows)
            cursor = page.next

    filename = f"calliyo-{name}-{datetime.now(UTC):%Y-%m-%d}.{renderer.suffix}"
    return StreamingHttpResponse(
        () if empty else pages(),
        content_type=renderer.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "X-Accel-Buffering": "no",  # a proxy that collects the whole would not be flat in memory
        },
    )


def csv_columns(
    listing: type[Shaped], fields: tuple[str, ...] | None, expand: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """The paths of a row's values, each a column."""
    declared = listing.shape.members()
    columns: list[tuple[str, ...]] = []
    for name in fields or declared:
        columns += _paths(name, declared[name])
    for name in expand:
        inner = listing.expandable()[name].shape.members()
        columns += [(name, *path) for key, field in inner.items() for path in _paths(key, field)]
    return columns


def _paths(name: str, field: Any) -> list[tuple[str, ...]]:
    if isinstance(field, Shape):
        inner = field.members()
        return [(name, *path) for key, one in inner.items() for path in _paths(key, one)]
    return [(name,)]


def _cell(picture: Any, path: tuple[str, ...]) -> Any:
    value = picture
    for name in path:
        if value is None:
            return ""
        value = value[name]
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return harmless(";".join(str(one) for one in value))
        case str():
            return harmless(value)
        case _:
            return value


def harmless(text: str) -> str:
    """`text` such that no spreadsheet runs it."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
