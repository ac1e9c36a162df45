"""What a request asks of a list, and the page that may be under way for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import models

from calliyo.api.pagination import Cursor, Ordering, Slice

Rows = list[tuple[Any, ...]]
# Up to when a first page is complete, where it can be told; and the page's rows.
Found = tuple[str | None, Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a query string asks of a list. `rows` are there where filters need a statement of their own."""

    ordering: Ordering
    as_of: str
    times: Mapping[str, datetime]
    ends_at_as_of: bool
    rows: "models.QuerySet[Any, Any] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How rows are shown: which fields (None: all), and what is embedded beside them."""

    fields: tuple[str, ...] | None
    expand: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPage:
    """What a query string asks of a page, whoever asks and whatever the filters."""

    shown: Shown
    ordering: Ordering
    piece: Slice
    bound_to: str
    cursor: Cursor | None


class Ahead(Protocol):
    """A page that is being read together with the key, which is taken until then for what it was when last read."""

    def found(self) -> Found | None:
        """Waits for the page; None when the key is not what it was."""
