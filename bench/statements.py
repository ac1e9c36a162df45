"""What PostgreSQL itself counts of its statements (`pg_stat_statements`): pages and bytes, which no noise changes."""

from typing import Any, Final

from django.db import connection

OPTION: Final = "shared_preload_libraries=pg_stat_statements"
"""What a server is started with that is to count."""
_HERE: Final = "(SELECT oid FROM pg_database WHERE datname = current_database())"
# By its first words: a list of another length between the brackets of IN makes it another statement to PostgreSQL.
_COUNTED: Final = f"""
    SELECT left(btrim(regexp_replace(query, '\\s+', ' ', 'g')), 72), sum(calls),
        sum(shared_blks_hit + shared_blks_read), sum(shared_blks_read), sum(wal_bytes), sum(total_exec_time) * 1000
    FROM pg_stat_statements WHERE dbid = {_HERE} GROUP BY 1
"""  # noqa: S608  # no value
NAMES: Final = ("calls", "pages", "pages_read", "wal_bytes", "microseconds")
"""`pages`: asked for, in shared buffers or not; `pages_read`: those that were not."""


def begin_counting() -> None:
    """Forgets what was counted of this database."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        cursor.execute(f"SELECT pg_stat_statements_reset(0, {_HERE}, 0)")


def counted() -> dict[str, dict[str, float]]:
    """By statement, what it has cost this database since it was forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return {
        statement: dict(zip(NAMES, map(float, counts), strict=True))
        for statement, *counts in rows
        if "pg_stat_statements" not in statement
    }
