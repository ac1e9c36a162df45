"""Statements that every save or request makes: prepared by PostgreSQL once a connection, compiled by Django once.

A query set that is built and compiled anew costs a list more than reading its rows does.
"""

import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import local
from typing import Any, Final, Self, TypeAlias, cast

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models.expressions import Expression
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from calliyo.fields import NumbersField

PsycopgConnection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
PsycopgCursor: TypeAlias = "psycopg.Cursor[tuple[Any, ...]]"
_KEPT_ROWS: Final = 250  # a kept cursor holds the rows that it read last; more than a page has are let go


def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives. On other databases an ordinary statement."""
    database = connections[DEFAULT_DB_ALIAS]  # looked up once: `connection` looks it up for each attribute
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers:
        return fetch_once(sql, parameters)
    _close_if_hung_up(database)
    database.ensure_connection()
    with database.wrap_database_errors:
        cursor = _cursor_of(database.connection)
        # Binary: the driver reads times in C. Django has those of text read in Python, which costs more than the rest.
        rows = cursor.execute(sql, parameters, prepare=True, binary=True).fetchall()
        if len(rows) > _KEPT_ROWS:
            _kept.cursor = None
        return rows


class _Kept(local):
    """This thread's cursor for what is prepared: a new one each time costs a short statement a sixth of its time."""

    cursor: "PsycopgCursor | None" = None


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


class Parameter(Expression):
    """Stands in a query set for a value that is given when its statement runs; `field` says of which kind it is."""

    def __init__(self, name: str, field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """A placeholder; the parameter itself holds the value's place."""
        return "%s", [self]

    def value_in(self, values: Mapping[str, Any]) -> Any:
        """Its value, as the database takes it."""
        return self.output_field.get_db_prep_value(values[self.name], cast("Any", connection))


class Among(models.Func):
    """The condition that `column` is one of the numbers that are given as `name` when the statement runs."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY ("
    output_field = models.BooleanField()

    def __init__(self, column: str, name: str) -> None:
        super().__init__(column, Parameter(name, NumbersField()))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """SQLite has no arrays: there, by JSON."""
        context |= {"template": "%(expressions)s))", "arg_joiner": " IN (SELECT value FROM json_each("}
        return super().as_sql(compiler, connection, **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query set compiled for this process's database, whose `Parameter`s are still open.

    It holds no connection, so that threads can share it.
    """

    sql: str
    slots: tuple[Any, ...]
    converters: tuple[tuple[int, tuple[Any, ...], Any], ...]
    width: int

    @classmethod
    def of(cls, rows: "models.QuerySet[Any, Any]") -> Self:
        """The statement that `rows` would make."""
        compiler = rows.query.get_compiler(using=rows.db)
        sql, slots = compiler.as_sql()
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        found: dict[int, Any] = compiler.get_converters(columns)
        converters = [(place, tuple(functions), column) for place, (functions, column) in found.items()]
        return cls(sql=sql, slots=tuple(slots), converters=tuple(converters), width=len(columns))

    def fetch(self, values: Mapping[str, Any], *, prepared: bool) -> list[tuple[Any, ...]]:
        """The rows for these values of its parameters; `prepared` where many requests make this statement."""
        return self.converted((fetch if prepared else fetch_once)(self.sql, _parameters(self.slots, values)))

    def converted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows as the columns' fields give them."""
        return [self._converted(row) for row in rows] if self.converters else rows

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for place, functions, column in self.converters:
            for function in functions:
                values[place] = function(values[place], column, connection)
        return tuple(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Two statements in one round trip: what `first` finds, one row or none, and behind it what `second` finds.

    `second` is carried out only where there is a first row that fits, and may take values from it. For PostgreSQL.
    """

    second: Statement
    sql: str
    slots: tuple[Any, ...]

    @classmethod
    def of(
        cls,
        first: Statement,
        second: Statement,
        *,
        columns: Sequence[str],
        where: str,
        given: Mapping[str, str],
    ) -> Self:
        """`columns` are those of `first`; `where`: the one of them that says whether it fits.

        `given`: parameters of `second`, each with the column that has its value.
        """
        parts = second.sql.split("%s")
        slots, sql = [], parts[0]
        for slot, part in zip(second.slots, parts[1:], strict=True):
            if isinstance(slot, Parameter) and slot.name in given:
                sql += f"(SELECT {given[slot.name]} FROM first){part}"  # noqa: S608  # a column's name
            else:
                sql += f"%s{part}"
                slots.append(slot)
        # The first row in one column: its own columns would be there, empty, in each of the other rows.
        nothing = ", ".join(["NULL"] * second.width)
        joined = f"""
            WITH first ({", ".join(columns)}) AS MATERIALIZED ({first.sql})
            SELECT to_json(first)::text, {nothing} FROM first
            UNION ALL
            SELECT NULL, second.* FROM ({sql}) AS second WHERE EXISTS (SELECT 1 FROM first WHERE {where})
        """  # noqa: S608  # no value
        return cls(second=second, sql=joined, slots=(*first.slots, *slots))

    def fetch(self, values: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[tuple[Any, ...]]]:
        """The first row as JSON has it, None for none, and the rows of the second statement."""
        found = fetch(self.sql, _parameters(self.slots, values))
        if not found:
            return None, []
        return orjson.loads(found[0][0]), self.second.converted([row[1:] for row in found[1:]])


def _parameters(slots: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    return [slot.value_in(values) if isinstance(slot, Parameter) else slot for slot in slots]
