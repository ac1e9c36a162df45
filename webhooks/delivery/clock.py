"""The database's clock: leases and due times go by it, whatever the machines' own clocks say."""

from datetime import UTC, datetime, timedelta

from django.db import connection

from calliyo.fields import whole_milliseconds


def database_now() -> datetime:
    """Now by the database's clock, in whole milliseconds (SQLite lives in this process and has ours)."""
    if connection.vendor != "postgresql":
        return whole_milliseconds(datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return whole_milliseconds(now)


def database_clock_in(seconds: float) -> str:
    """An SQL expression: the moment that is so many seconds away, for statements that need no answer first."""
    if connection.vendor == "postgresql":
        return f"date_trunc('milliseconds', clock_timestamp()) + interval '{seconds} seconds'"
    moment = whole_milliseconds(datetime.now(UTC)) + timedelta(seconds=seconds)
    return f"'{connection.ops.adapt_datetimefield_value(moment)}'"
