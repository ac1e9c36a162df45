"""Deletes rows by their numbers, each table in one statement.

Django's `delete()` would read the rows first, payloads too, and go by a hundred: for signals that nobody hears here.
"""

from collections.abc import Collection

from django.db import connection, transaction

from webhooks.delivery.bulk import ids_text


@transaction.atomic
def delete_deliveries(ids: Collection[int]) -> None:
    """Deletes these deliveries and the log of their attempts."""
    _delete("webhooks_attempt", "delivery_id", ids)
    _delete("webhooks_delivery", "id", ids)


def delete_events(ids: Collection[int]) -> None:
    """Deletes these events; their deliveries are left as they are."""
    _delete("webhooks_event", "id", ids)


def _delete(table: str, column: str, ids: Collection[int]) -> None:
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {column} IN ({ids_text(ids)})")  # noqa: S608  # numbers
