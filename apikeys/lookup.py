"""The key that a token opens; of a list, in one round trip with how far it is complete, and its page.

On PostgreSQL this process keeps the keys that it has read, each with the mark of its row, which every change of the row
changes. A plain list's page is read under the condition that the key is still at that mark: so nothing is known of a
key that the database does not say in this very request, and a key that was changed, switched off or deleted is read
anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import CharField, Field, Func, Value
from django.db.models.lookups import Exact
from django.utils import timezone
from rest_framework.request import Request

from apikeys import last_use
from apikeys.callers import API_KEY
from apikeys.models import APIKey
from apikeys.throttling import REFUSALS
from calliyo.api.asked import Found, PlannedPage
from calliyo.api.lists import Listing, page_statement
from calliyo.api.pagination import Slice, position_values
from calliyo.api.sync import Horizon, HorizonHere
from calliyo.statements import Gated, Parameter, Statement

# What no request needs to know of its key is read only where it is asked for.
_NOT_READ: Final = frozenset(
    {
        "created_by_type", "created_by_id", "created_by_name", "last_used_address", "version", "updated_at",
    }
)  # fmt: skip
MANY: Final = 10_000  # keys that are kept


class RowMark(Func):
    """What tells a version of a key's row from all others: who wrote it, and where it lies. For PostgreSQL."""

    template = f'"{APIKey._meta.db_table}".xmin::text || "{APIKey._meta.db_table}".ctid::text'
    output_field = CharField()


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key as it was read under a mark. Requests share it: nobody changes it."""

    key: APIKey
    mark: str


class KeptKeys:
    """The keys that this process has read and that may ask, by their tokens' digests."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptKey] = {}

    def keep(self, digest: str, kept: KeptKey) -> None:
        if len(self._kept) >= MANY:
            self._kept.clear()
        self._kept[digest] = kept

    def get(self, digest: str) -> KeptKey | None:
        """The key; None for one that was not read, and for one whose use is to be noted, which changes it."""
        kept = self._kept.get(digest)
        return None if kept is None or last_use.is_due(kept.key, timezone.now()) else kept

    def forget(self, kept: KeptKey) -> None:
        if self._kept.get(kept.key.digest) is kept:
            del self._kept[kept.key.digest]


KEPT: Final = KeptKeys()


class PageAhead:
    """A plain list's page that is being read for a kept key."""

    def __init__(self, kept: KeptKey, await_it: Callable[[], Found | None]) -> None:
        self._kept = kept
        self._await_it: Callable[[], Found | None] | None = await_it
        self._found: Found | None = None

    def found(self) -> Found | None:
        """Waits for the page; None when the key is not what it was."""
        if self._await_it is not None:
            self._found, self._await_it = self._await_it(), None
            if self._found is None:
                KEPT.forget(self._kept)
        return self._found


def key_for(digest: str, request: Request) -> tuple[APIKey | None, datetime | None]:
    """The key, in one round trip with what a list needs besides: its horizon, and its page where that is a plain one.

    The page is left with the view, under way (`calliyo.api.lists.Ahead`), and the key is then the one that was kept.
    """
    view = request.parser_context["view"]
    is_list = isinstance(view, Listing) and getattr(view, "action", None) == "list"
    if not is_list or connection.vendor != "postgresql":
        return read_key(digest)
    may_read = view.reads_ahead(request) and not REFUSALS.hold(digest)
    kept = KEPT.get(digest) if may_read else None
    plan = view.planned_ahead(request) if kept is not None else None
    if kept is None or plan is None:
        return read_key(digest, Horizon)
    view.ahead = _begun(view, plan, kept)
    return kept.key, None


def _begun(view: Listing, plan: PlannedPage, kept: KeptKey) -> PageAhead:
    page = page_behind_key(type(view), plan.piece)  # type: ignore[arg-type]  # classes can be hashed
    position = position_values(view.model, plan.ordering, plan.cursor)
    values = {"digest": kept.key.digest, "mark": kept.mark, API_KEY: kept.key.pk, **position}
    return PageAhead(kept, page.begin(values))


def read_key(digest: str, horizon: type[Horizon] | None = None) -> tuple[APIKey | None, datetime | None]:
    """The key, and the horizon of what is read next where that is asked for."""
    found = _statement_of_keys(horizon).fetch({"digest": digest}, prepared=True)  # type: ignore[arg-type]  # as above
    if not found:
        return None, None
    row = found[0]
    key = APIKey.from_db(DEFAULT_DB_ALIAS, _key_columns(), row[: len(_key_columns())])
    if connection.vendor == "postgresql" and key.active:
        KEPT.keep(digest, KeptKey(key, row[len(_key_columns())]))
    return key, row[-1] if horizon else None


@cache
def _key_columns() -> Sequence[str]:
    """What is read of a key."""
    fields: list[Field[Any, Any]] = [
        field for field in APIKey._meta.concrete_fields if field.name not in _NOT_READ
    ]
    return [field.attname for field in fields]


@cache
def _statement_of_keys(horizon: type[Horizon] | None = None) -> Statement:
    digest = Parameter("digest", CharField())
    mark = [RowMark()] if connection.vendor == "postgresql" else []
    columns: list[str | RowMark | Horizon] = [*_key_columns(), *mark, *([horizon()] if horizon else [])]
    return Statement.of(APIKey.objects.order_by().filter(digest=digest).values_list(*columns))


@lru_cache(maxsize=1024)
def page_behind_key(listing: type[Listing], piece: Slice) -> Gated:
    """A page that is read for an active key at a mark alone; a list's first page with its horizon."""
    at_mark = Exact(RowMark(), Parameter("mark", CharField()))
    keys = APIKey.objects.order_by().filter(at_mark, digest=Parameter("digest", CharField()), active=True)
    told = HorizonHere() if piece.after is None else Value(None, output_field=CharField())
    page = page_statement(listing, piece, (), ends_at_as_of=False)  # type: ignore[arg-type]  # as above
    return Gated.of(Statement.of(keys.values_list(told)), page)
