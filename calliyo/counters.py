"""Rows that count: made or grown in one statement, so that processes which count at once lose nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django.db import connection, models

BATCH: Final = 100  # rows of a statement; SQLite takes few parameters


def add(
    model: type[models.Model], named_by: Sequence[str], number: str, grown: Mapping[tuple[Any, ...], float]
) -> None:
    """Adds to the field `number` of the rows that are there, makes the others: `bulk_create` could only replace.

    `named_by`: the fields of a unique constraint. `grown`: by their values, in that order, how much each row grows.
    """
    table, names = model._meta.db_table, ", ".join(named_by)
    fields = [cast("models.Field[Any, Any]", model._meta.get_field(name)) for name in named_by]
    # All processes lock their rows in the same order.
    rows = [
        [*(field.get_db_prep_save(value, connection) for field, value in zip(fields, which, strict=True)), by]
        for which, by in sorted(grown.items())
    ]
    row = f"({', '.join(['%s'] * (len(named_by) + 1))})"
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        sql = f"""
            INSERT INTO {table} ({names}, {number}) VALUES {", ".join([row] * len(batch))}
            ON CONFLICT ({names}) DO UPDATE SET {number} = {table}.{number} + excluded.{number}
        """  # noqa: S608 (the table's own names)
        with connection.cursor() as cursor:
            cursor.execute(sql, [value for values in batch for value in values])
