"""The database's clock: leases and due times go by it, whatever the machines' own clocks say."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection

from calliyo.fields import whole_milliseconds
from calliyo.prepared import fetch


def database_now() -> datetime:
    """Now by the database's clock, in whole milliseconds (SQLite lives in this process and has ours)."""
    if connection.vendor != "postgresql":
        return whole_milliseconds(datetime.now(UTC))
    [(now,)] = fetch("SELECT clock_timestamp()", ())
    return whole_milliseconds(now)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The database's clock as it was read just now; it goes on by this process's monotonic clock.

    For what is stamped without asking the database: a machine whose own clock is wrong must not sign with its time.
    """

    at: datetime
    read: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """What it shows by now."""
        return self.at + timedelta(seconds=time.monotonic() - self.read)


def database_clock_in(seconds: float) -> str:
    """An SQL expression: the moment that is so many seconds away, for statements that need no answer first."""
    if connection.vendor == "postgresql":
        return f"date_trunc('milliseconds', clock_timestamp()) + interval '{seconds} seconds'"
    moment = whole_milliseconds(datetime.now(UTC)) + timedelta(seconds=seconds)
    return f"'{connection.ops.adapt_datetimefield_value(moment)}'"


def seconds_until(moment: datetime | None, now: datetime) -> float:
    """How long it is from `now`; 0 for none, and for one that is over."""
    return 0.0 if moment is None else max(0.0, (moment - now).total_seconds())


def seconds_since(column: str) -> str:
    """An SQL expression: how many seconds after `column` the moment is that is given as its one parameter."""
    if connection.vendor == "postgresql":
        return f"CAST(extract(epoch FROM CAST(%s AS timestamptz) - {column}) AS float8)"
    return f"(julianday(%s) - julianday({column})) * 86400.0"


class ClockWatch:
    """Tells a step of the database's clock from the passing of time, by this process's monotonic clock."""

    TOLERANCE = 1.5
    """Seconds: less than any step that matters, more than clocks drift between two looks."""

    def __init__(self) -> None:
        self._offsets: tuple[float, float] | None = None

    def look(self) -> tuple[datetime, float | None]:
        """Now, and by how many seconds the clock was stepped since the last look.

        None: it was not. 0: nobody has looked before, so it may have been.
        """
        before = time.monotonic()
        now = database_now()
        # Somewhere between the question and the answer: how long they took is not taken for a step.
        offsets = now.timestamp() - time.monotonic(), now.timestamp() - before
        known, self._offsets = self._offsets, offsets
        if known is None:
            return now, 0.0
        if offsets[0] - known[1] > self.TOLERANCE:
            return now, offsets[0] - known[1]
        if known[0] - offsets[1] > self.TOLERANCE:
            return now, offsets[1] - known[0]
        return now, None
