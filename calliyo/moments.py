"""How commands take times: a time in RFC 3339, a date, or a span such as `30d`."""

import re
from datetime import datetime, timedelta, tzinfo
from typing import Final

from django.utils.dateparse import parse_date, parse_datetime

_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
WHAT_A_MOMENT_IS: Final = "time such as 2026-12-31T18:00:00Z, no date, and no span such as 30d"


def read_span(text: str) -> timedelta | None:
    """The span that `text` names (`90m`, `12h`, `30d`, `2w`), or None."""
    found = _SPAN.fullmatch(text)
    return None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})


def read_moment(text: str, *, zone: tzinfo) -> datetime | None:
    """The moment that `text` names, or None; a date is its beginning in `zone`."""
    try:
        moment = parse_datetime(text) if ":" in text else None
        day = parse_date(text) if moment is None else None
    except ValueError:
        return None
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=zone)
    return None if moment is None or moment.tzinfo is None else moment
