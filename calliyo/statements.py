"""Statements that every save makes: prepared by PostgreSQL once a connection, so that it plans them no more."""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection


def fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives. On other databases an ordinary statement."""
    if connection.vendor != "postgresql" or connection.queries_logged or connection.execute_wrappers:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    connection.ensure_connection()
    if connection.connection.prepare_threshold is None:
        connection.connection.prepare_threshold = (
            0  # Django's own cursors bind on their side and prepare nothing
        )
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, parameters, prepare=True).fetchall()
