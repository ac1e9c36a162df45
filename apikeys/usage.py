"""What a key did: calls by day and by resource, and its last calls that were not served. Written by `tally`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import F, Max, QuerySet, Sum
from django.utils import timezone

from apikeys.models import APIKey, CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.scopes import Access
from apikeys.tally import QUARTER
from calliyo.models import Company

HOURS: Final = 24
QUARTERS_AN_HOUR: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """How many calls, by what came of them (`CallResult`)."""

    ok: int = 0
    refused: int = 0
    invalid: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.refused + self.invalid + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfUsage:
    """One day where the company is."""

    day: date
    calls: Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUsage:
    """One resource, by its path below `/public` (`me` and `events` are among them)."""

    resource: str
    reads: Calls
    writes: Calls


def daily_usage(key: APIKey, days: int = 30) -> list[DayOfUsage]:
    """The last `days` days, oldest first and today last; a day without calls is there with zeros."""
    first = _first_day(days)
    counted = _of(key, first).values_list("day", "result").annotate(calls=Sum("calls"))
    by_day: dict[date, dict[str, int]] = {}
    for day, result, calls in counted:
        by_day.setdefault(day, {})[result] = calls
    each = (first + timedelta(days=number) for number in range(days))
    return [DayOfUsage(day=day, calls=_calls(by_day.get(day, {}))) for day in each]


def usage_by_resource(key: APIKey, days: int = 30) -> list[ResourceUsage]:
    """What was called in the last `days` days, the most called first."""
    counted = _of(key, _first_day(days)).values_list("resource", "access", "result")
    by_resource: dict[str, dict[str, dict[str, int]]] = {}
    for resource, access, result, calls in counted.annotate(calls=Sum("calls")):
        by_resource.setdefault(resource, {}).setdefault(access, {})[result] = calls
    found = [
        ResourceUsage(
            resource=resource,
            reads=_calls(by_access.get(Access.READ, {})),
            writes=_calls(by_access.get(Access.WRITE, {})),
        )
        for resource, by_access in by_resource.items()
    ]
    return sorted(found, key=lambda one: (-one.reads.total - one.writes.total, one.resource))


def hourly_calls(key_ids: Collection[int], now: datetime) -> dict[int, list[int]]:
    """The calls of each of these keys in the last 24 hours, an hour a number, oldest first; one statement."""
    first = quarter_of(now) - HOURS * QUARTERS_AN_HOUR + 1
    hour = (F("quarter") - first) / QUARTERS_AN_HOUR
    recent = RecentCalls.objects.filter(api_key_id__in=key_ids, quarter__gte=first).order_by()
    by_key = {key_id: [0] * HOURS for key_id in key_ids}
    for key_id, number, calls in recent.values_list("api_key_id", hour).annotate(calls=Sum("calls")):
        by_key[key_id][min(number, HOURS - 1)] += calls
    return by_key


def calls_in_the_last_hour(key: APIKey, now: datetime) -> int:
    """The calls since an hour ago, from the quarter of an hour on in which that was."""
    since = quarter_of(now) - QUARTERS_AN_HOUR
    recent = RecentCalls.objects.filter(api_key_id=key.pk, quarter__gte=since)
    return recent.aggregate(calls=Sum("calls"))["calls"] or 0


def last_days_of_use(key: APIKey) -> dict[tuple[str, str], date]:
    """The last day on which a call was served, by resource (its path below `/public`) and access."""
    served = KeyUsage.objects.filter(api_key_id=key.pk, result=CallResult.OK).order_by()
    found = served.values_list("resource", "access").annotate(last=Max("day"))
    return {(resource, access): last for resource, access, last in found}


def quarter_of(moment: datetime) -> int:
    """The quarter of an hour that a moment lies in, as `RecentCalls` counts them."""
    return int(moment.timestamp()) // QUARTER


def refused_calls(key: APIKey) -> list[RefusedCall]:
    """The last calls that were not served, at most a hundred, newest first."""
    return sorted(
        RefusedCall.objects.filter(api_key_id=key.pk), key=lambda call: (call.at, call.pk), reverse=True
    )


def _of(key: APIKey, first: date) -> QuerySet[KeyUsage]:
    return KeyUsage.objects.filter(api_key_id=key.pk, day__gte=first).order_by()


def _first_day(days: int) -> date:
    today = timezone.now().astimezone(Company.current().zone).date()
    return today - timedelta(days=days - 1)


def _calls(results: "dict[str, int]") -> Calls:
    return Calls(**{result.value: results.get(result.value, 0) for result in CallResult})
