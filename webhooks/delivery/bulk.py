"""Many rows in one statement: the engine writes thousands a second, too many for an object or a round trip each."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction

Row = Mapping[str, Any]


def ids_text(ids: Iterable[int]) -> str:
    """The ids as they stand between the brackets of `IN (…)`: numbers only, so they need no escaping."""
    return ", ".join(str(int(each)) for each in ids)


def ids_as_rows(ids: Iterable[int], *, table: str, column: str) -> str:
    """The ids as they stand behind `FROM`: rows of `table` with this one column, to look each up by itself."""
    if connection.vendor == "postgresql":
        return f"unnest('{{{ids_text(ids)}}}'::bigint[]) AS {table} ({column})"
    return f"(SELECT value AS {column} FROM json_each('[{ids_text(ids)}]')) AS {table}"  # noqa: S608  # numbers


def insert_rows(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Inserts the rows; `columns` has PostgreSQL's type of each."""
    if not rows:
        return
    names = ", ".join(columns)
    if connection.vendor == "postgresql":
        shape = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        statement = f"INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset(%s::json) AS fresh ({shape})"  # noqa: S608  # no value
        with connection.cursor() as cursor:
            cursor.execute(statement, [orjson.dumps(rows).decode()])
        return
    places = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608  # no value
            [[_plain(row[name]) for name in columns] for row in rows],
        )


def update_rows(table: str, key: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Sets the columns of the rows that `key` (a number) names; `columns` has PostgreSQL's type of each."""
    if not rows:
        return
    if connection.vendor == "postgresql":
        shape = ", ".join(f"{name} {kind}" for name, kind in {key: "bigint", **columns}.items())
        changes = ", ".join(f"{name} = fresh.{name}" for name in columns)
        statement = (
            f"UPDATE {table} SET {changes} FROM json_to_recordset(%s::json) AS fresh ({shape})"  # noqa: S608  # no value
            f" WHERE {table}.{key} = fresh.{key}"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [orjson.dumps(rows).decode()])
        return
    changes = ", ".join(f"{name} = %s" for name in columns)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET {changes} WHERE {key} = %s",  # noqa: S608  # no value
            [[_plain(row[name]) for name in (*columns, key)] for row in rows],
        )


def run_together(*statements: str) -> list[int]:
    """Carries the statements out in one transaction and, on PostgreSQL, one round trip; the number of rows of each.

    They bear no parameters; each sees what was committed before it began, as statements of a transaction do.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("; ".join(statements))
            counts = [cursor.rowcount]
            while cursor.nextset():
                counts.append(cursor.rowcount)
            return counts
    counts = []
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            counts.append(cursor.rowcount)
    return counts


def _plain(value: Any) -> Any:
    """A value as SQLite's columns hold it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
