"""What a demo key did: its calls of thirty days and of the last one, counted as real ones are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from apikeys.models import APIKey, CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.scopes import Access
from apikeys.usage import QUARTERS_AN_HOUR, quarter_of
from calliyo import counters
from calliyo.models import Company

DAYS = 30
# Method, path, status and code of the latest calls that were not served.
_NOT_SERVED = (
    ("POST", "/public/leads", 409, "duplicate_phone"),
    ("GET", "/public/customers", 403, "insufficient_scope"),
    ("POST", "/public/leads", 400, "validation_failed"),
    ("POST", "/public/leads", 409, "duplicate_phone"),
    ("GET", "/public/leads", 429, "rate_limited"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """`calls`: resource, access and how many on a working day, all answered; `mistakes` and `refused` beside them.

    `by_hour`: the calls of the last 24 hours, oldest first. `idle`: how long ago the last one was.
    """

    address: str
    idle: timedelta
    calls: Sequence[tuple[str, str, int]] = ()
    mistakes: int = 0
    refused: int = 0
    by_hour: Sequence[int] = ()


def write_traffic(key: APIKey, traffic: Traffic, now: datetime) -> None:
    """Adds the counters and the last refusals of a new key."""
    random = Random(f"calliyo demo traffic {key.name}")  # noqa: S311  # the same each time is what is wanted
    today = now.astimezone(Company.current().zone).date()
    days: Counter[tuple[int, date, str, str, str]] = Counter()
    for ago in range(DAYS) if traffic.calls else ():
        day = today - timedelta(days=ago)
        share = (0.1 if day.weekday() == 6 else 1.0) * random.uniform(0.6, 1.1)
        for resource, access, calls in traffic.calls:
            days[key.pk, day, resource, access, CallResult.OK.value] = round(calls * share)
        resource, access, _ = traffic.calls[-1]
        mistakes = round(traffic.mistakes * share) if ago % 4 == 0 else 0
        days[key.pk, day, "leads", Access.WRITE.value, CallResult.INVALID.value] = mistakes
        refused = round(traffic.refused * share) if ago in {3, 4, 11} else 0
        days[key.pk, day, "customers", Access.READ.value, CallResult.REFUSED.value] = refused
    counters.add(KeyUsage, ("api_key_id", "day", "resource", "access", "result"), "calls", +days)
    first = quarter_of(now) - len(traffic.by_hour) * QUARTERS_AN_HOUR + 1
    hours = {
        (key.pk, first + n * QUARTERS_AN_HOUR): calls for n, calls in enumerate(traffic.by_hour) if calls
    }
    counters.add(RecentCalls, ("api_key_id", "quarter"), "calls", hours)
    if traffic.refused:
        _write_refusals(key, traffic, now)
    APIKey.objects.filter(pk=key.pk).update(
        last_used_at=now - traffic.idle, last_used_address=traffic.address
    )


def _write_refusals(key: APIKey, traffic: Traffic, now: datetime) -> None:
    RefusedCall.objects.bulk_create(
        RefusedCall(
            api_key_id=key.pk,
            at=now - timedelta(minutes=26 + 170 * number),
            method=method,
            path=path,
            status=status,
            code=code,
            address=traffic.address,
            request_id=f"req_{Random(number).getrandbits(96):024x}",  # noqa: S311  # no secret
        )
        for number, (method, path, status, code) in reversed(list(enumerate(_NOT_SERVED)))
    )
