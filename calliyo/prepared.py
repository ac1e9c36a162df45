"""Statements as text: prepared by PostgreSQL once a connection, sent and awaited in one or in two steps."""

import select
from collections.abc import Callable, Generator, Mapping, Sequence
from threading import local
from typing import Any, Final, TypeAlias, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

PsycopgConnection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
PsycopgCursor: TypeAlias = "psycopg.Cursor[tuple[Any, ...]]"
_KEPT_ROWS: Final = 250  # a kept cursor holds the rows that it read last; more than a page has are let go


def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives. On other databases an ordinary statement."""
    database = connections[DEFAULT_DB_ALIAS]  # looked up once: `connection` looks it up for each attribute
    if _is_watched(database):
        return fetch_once(sql, parameters)
    _make_usable(database)
    with database.wrap_database_errors:
        cursor = _cursor_of(database.connection)
        # Binary: the driver reads times in C. Django has those of text read in Python, which costs more than the rest.
        return _rows_of(cursor.execute(sql, parameters, prepare=True, binary=True))


def begin(sql: str, parameters: Sequence[Any]) -> Callable[[], list[tuple[Any, ...]]]:
    """As `fetch`, but what is returned gives the rows, each time it is called; until then nobody waits.

    For the same thread, which asks its database nothing else before.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if _is_watched(database):
        rows = fetch_once(sql, parameters)
        return lambda: rows
    _make_usable(database)
    with database.wrap_database_errors:
        under_way = _kept.under_way = _UnderWay(database, _cursor_of(database.connection), sql, parameters)
    return under_way.rows


def _is_watched(database: Any) -> bool:
    """Whether its statements are to pass by Django, as those of other databases do."""
    return database.vendor != "postgresql" or database.queries_logged or bool(database.execute_wrappers)


def _make_usable(database: Any) -> None:
    if _kept.under_way is not None:  # of a request that broke off
        _kept.under_way.end()
    _close_if_hung_up(database)
    database.ensure_connection()


def _rows_of(cursor: "PsycopgCursor") -> list[tuple[Any, ...]]:
    rows = cursor.fetchall()
    if len(rows) > _KEPT_ROWS:
        _kept.cursor = None
    return rows


class _UnderWay:
    """A statement that was sent. The driver runs one as a generator that stands still where it has to wait."""

    def __init__(self, database: Any, cursor: "PsycopgCursor", sql: str, parameters: Sequence[Any]) -> None:
        self._database, self._cursor = database, cursor
        # What `execute` waits for the end of; the driver has no public way to wait later.
        self._steps = cursor._execute_gen(sql, parameters, prepare=True, binary=True)  # noqa: SLF001
        self._waits_for = next(self._steps)
        self._rows: list[tuple[Any, ...]] | None = None
        self._error: Exception | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """What it found, or the error that it met."""
        self.end()
        if self._error is not None:
            raise self._error
        return cast("list[tuple[Any, ...]]", self._rows)

    def end(self) -> None:
        """Waits for its end, once."""
        if self._rows is not None or self._error is not None:
            return
        _kept.under_way = None
        try:
            with self._database.wrap_database_errors:
                self._cursor.connection.wait(self._going_on())
                self._rows = _rows_of(self._cursor)
        except Exception as error:  # noqa: BLE001  # raised where the rows are asked for
            self._error = error

    def _going_on(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            try:
                waits_for = self._steps.send((yield waits_for))
            except StopIteration:
                return


class _Kept(local):
    """This thread's cursor for what is prepared: a new one each time costs a short statement a sixth of its time."""

    cursor: "PsycopgCursor | None" = None
    under_way: "_UnderWay | None" = None


_kept: Final = _Kept()


def _cursor_of(psycopg_connection: PsycopgConnection) -> PsycopgCursor:
    cursor = _kept.cursor
    if cursor is None or cursor.connection is not psycopg_connection:
        if psycopg_connection.prepare_threshold is None:
            _make_ready(psycopg_connection)
        cursor = _kept.cursor = psycopg.Cursor(psycopg_connection)
    return cursor


def _close_if_hung_up(database: Any) -> None:
    """Django's health check of a kept connection without its round trip.

    Nobody has asked anything yet, so what can be read is a farewell, or the end of the stream.
    """
    if database.connection is None or not database.health_check_enabled or database.health_check_done:
        return
    waiting = select.poll()
    waiting.register(database.connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        database.close_if_health_check_failed()
    database.health_check_done = True


def _make_ready(psycopg_connection: PsycopgConnection) -> None:
    psycopg_connection.prepare_threshold = 0  # Django's own cursors bind on their side and prepare nothing
    psycopg_connection.adapters.register_loader("jsonb", _JsonTextLoader)


class _JsonTextLoader(Loader):
    """As Django has it read of text: the field parses it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data[1:]).decode()  # behind the version of its binary form


def fetch_once(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives, planned for these very parameters."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
