"""Query sets that Django compiles once, though every save or request makes them: their values stay open.

A query set that is built and compiled anew costs a list more than reading its rows does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from django.db import connection, models
from django.db.models.expressions import Expression

from calliyo.fields import NumbersField
from calliyo.prepared import begin, fetch, fetch_once

_PLAIN: Final = ((models.CharField, str), (models.IntegerField, int))


class Parameter(Expression):
    """Stands in a query set for a value that is given when its statement runs; `field` says of which kind it is."""

    def __init__(self, name: str, field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name
        # Of this type, a value is one that the database takes as it is.
        self._plain = next((type_ for kind, type_ in _PLAIN if isinstance(field, kind)), None)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """A placeholder; the parameter itself holds the value's place."""
        return "%s", [self]

    def value_in(self, values: Mapping[str, Any]) -> Any:
        """Its value, as the database takes it."""
        value = values[self.name]
        if type(value) is self._plain:
            return value
        return self.output_field.get_db_prep_value(value, cast("Any", connection))


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
class Gated:
    """A statement that is carried out only where another, its gate, finds its one row. For PostgreSQL."""

    rows: Statement
    sql: str
    slots: tuple[Any, ...]

    @classmethod
    def of(cls, gate: Statement, rows: Statement) -> Self:
        """`gate` has one column and finds one row or none."""
        # Left join: who passes the gate and finds no rows gets its column all the same. One row joined with others on
        # nothing leaves PostgreSQL no way but to go through these as they come.
        sql = f"""
            WITH gate (told) AS MATERIALIZED ({gate.sql})
            SELECT found.*, gate.told FROM gate LEFT JOIN ({rows.sql}) AS found ON TRUE
        """  # noqa: S608  # no value
        return cls(rows=rows, sql=sql, slots=(*gate.slots, *rows.slots))

    def begin(self, values: Mapping[str, Any]) -> Callable[[], tuple[Any, list[tuple[Any, ...]]] | None]:
        """Sends it; what is returned gives the gate's column and the rows, None where the gate is shut."""
        rows_of = begin(self.sql, _parameters(self.slots, values))
        return lambda: self._read(rows_of())

    def _read(self, found: list[tuple[Any, ...]]) -> tuple[Any, list[tuple[Any, ...]]] | None:
        if not found:
            return None
        told = found[0][-1]
        rows = [row[:-1] for row in found]
        if len(rows) == 1 and all(value is None for value in rows[0]):  # what is found has an id
            return told, []
        return told, self.rows.converted(rows)


def _parameters(slots: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    return [slot.value_in(values) if isinstance(slot, Parameter) else slot for slot in slots]
