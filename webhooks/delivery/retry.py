"""When a failed delivery is tried again: pure, time and chance come in as arguments."""

from collections.abc import Sequence
from datetime import datetime, timedelta

SPREAD = 0.2


def next_attempt_at(
    *, attempts: int, now: datetime, jitter: float, schedule: Sequence[float]
) -> datetime | None:
    """When attempt number `attempts` + 1 is due, or None where the schedule has no further one.

    `schedule` holds the wait before each attempt in seconds, the first one's too; `jitter`, from -1 to 1,
    is the place in the spread of ±20 %. The answer is in whole milliseconds.
    """
    if attempts >= len(schedule):
        return None
    wait = schedule[attempts] * (1 + SPREAD * max(-1.0, min(1.0, jitter)))
    return now + timedelta(milliseconds=round(wait * 1000))
