"""Statements that every save or request makes: prepared by PostgreSQL once a connection, compiled by Django once.

A query set that is built and compiled anew costs a list more than reading its rows does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import psycopg
from django.db import connection, models
from django.db.models.expressions import Expression


def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives. On other databases an ordinary statement."""
    if connection.vendor != "postgresql" or connection.queries_logged or connection.execute_wrappers:
        return fetch_once(sql, parameters)
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    if connection.connection.prepare_threshold is None:
        connection.connection.prepare_threshold = (
            0  # Django's own cursors bind on their side and prepare nothing
        )
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, parameters, prepare=True).fetchall()


def fetch_once(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query set compiled for this process's database, whose `Parameter`s are still open.

    It holds no connection, so that threads can share it.
    """

    sql: str
    slots: tuple[Any, ...]
    converters: tuple[tuple[int, tuple[Any, ...], Any], ...]

    @classmethod
    def of(cls, rows: "models.QuerySet[Any, Any]") -> Self:
        """The statement that `rows` would make."""
        compiler = rows.query.get_compiler(using=rows.db)
        sql, slots = compiler.as_sql()
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        found: dict[int, Any] = compiler.get_converters(columns)
        converters = [(place, tuple(functions), column) for place, (functions, column) in found.items()]
        return cls(sql=sql, slots=tuple(slots), converters=tuple(converters))

    def fetch(self, values: Mapping[str, Any], *, prepared: bool) -> list[tuple[Any, ...]]:
        """The rows for these values of its parameters; `prepared` where many requests make this statement."""
        parameters = [slot.value_in(values) if isinstance(slot, Parameter) else slot for slot in self.slots]
        rows = (fetch if prepared else fetch_once)(self.sql, parameters)
        return [self._converted(row) for row in rows] if self.converters else rows

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for place, functions, column in self.converters:
            for function in functions:
                values[place] = function(values[place], column, connection)
        return tuple(values)
