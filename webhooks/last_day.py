"""How a webhook did in the last hours, from counters: as cheap with ten million deliveries behind it as with ten.

Whoever records attempts adds them up by quarter of an hour, outcome and time taken, in the same transaction: one
statement a batch, some ten rows an hour for any number of attempts. Quarters, because the clocks of all zones differ by
whole ones: the hours shown are the reader's own.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from calliyo import counters
from webhooks.models import AttemptOutcome, QuarterHour

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
HOURS: Final = 24
KEPT: Final = timedelta(hours=48)
_GROWTH: Final = 1.2  # each band's times reach so much further than those of the band before


class Answered(NamedTuple):
    """One attempt, as it is counted."""

    webhook_id: int
    succeeded: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What came of the attempts in some time. `failed`: attempts; `gave_up`: those of them that were the last.

    The times are of those that were delivered, None where there are none; each is within a few percent.
    """

    begins_at: datetime
    delivered: int
    failed: int
    gave_up: int
    median_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDay:
    """The last `HOURS` hours of a webhook, the running one last, in all and one by one."""

    whole: Span
    hours: Sequence[Span]


def count(answers: Iterable[Answered], gave_up: Mapping[int, int], now: datetime) -> None:
    """Adds attempts that were recorded just now; `gave_up`: by webhook, how many deliveries ended with theirs."""
    quarter = quarter_of(now)
    rows = Counter(
        (
            each.webhook_id,
            quarter,
            AttemptOutcome.DELIVERED if each.succeeded else AttemptOutcome.FAILED,
            band_of(each.seconds * 1000),
        )
        for each in answers
    )
    rows.update(
        {(webhook_id, quarter, AttemptOutcome.GAVE_UP, 0): ended for webhook_id, ended in gave_up.items()}
    )
    counters.add(QuarterHour, ("webhook_id", "begins_at", "outcome", "band"), "attempts", rows)


def last_days(webhook_ids: Collection[int], hour: datetime) -> dict[int, LastDay]:
    """The last day of each of these webhooks, in one query; `hour` is when the running hour of the reader began."""
    first = hour - (HOURS - 1) * HOUR
    counted: dict[int, dict[int, Counter[tuple[str, int]]]] = {
        webhook_id: defaultdict(Counter) for webhook_id in webhook_ids
    }
    rows = QuarterHour.objects.filter(webhook_id__in=webhook_ids, begins_at__gte=first)
    for webhook_id, begins_at, outcome, band, attempts in rows.values_list(
        "webhook_id", "begins_at", "outcome", "band", "attempts"
    ):
        counted[webhook_id][min((begins_at - first) // HOUR, HOURS - 1)][outcome, band] += attempts
    return {webhook_id: _last_day(first, hours) for webhook_id, hours in counted.items()}


def forget_old(now: datetime) -> int:
    """Deletes the counters that nobody asks for any more."""
    deleted, _ = QuarterHour.objects.filter(begins_at__lt=now - KEPT).delete()
    return deleted


def quarter_of(moment: datetime) -> datetime:
    """When the quarter of an hour began that `moment` is in."""
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def band_of(milliseconds: float) -> int:
    """The band that a time falls in; 0 is below a millisecond."""
    return 0 if milliseconds < 1 else 1 + int(math.log(milliseconds, _GROWTH))


def bounds_of(band: int) -> tuple[float, float]:
    """From how many milliseconds to how many a band reaches."""
    return (0.0, 1.0) if band == 0 else (_GROWTH ** (band - 1), _GROWTH**band)


def percentile(bands: Mapping[int, int], share: float) -> float | None:
    """The time that `share` of the attempts did not exceed, evenly spread in their bands; None for none."""
    wanted = share * sum(bands.values())
    before = 0
    for band in sorted(bands):
        if before + bands[band] >= wanted > 0:
            low, high = bounds_of(band)
            return low + (high - low) * (wanted - before) / bands[band]
        before += bands[band]
    return None


def _last_day(first: datetime, hours: Mapping[int, Counter[tuple[str, int]]]) -> LastDay:
    counters = [hours.get(number, Counter()) for number in range(HOURS)]
    whole: Counter[tuple[str, int]] = sum(counters, Counter())
    return LastDay(
        whole=_span(first, whole),
        hours=[_span(first + number * HOUR, counter) for number, counter in enumerate(counters)],
    )


def _span(begins_at: datetime, counted: Counter[tuple[str, int]]) -> Span:
    totals: Counter[str] = Counter()
    for (outcome, _), attempts in counted.items():
        totals[outcome] += attempts
    delivered = {
        band: attempts for (outcome, band), attempts in counted.items() if outcome == AttemptOutcome.DELIVERED
    }
    return Span(
        begins_at=begins_at,
        delivered=totals[AttemptOutcome.DELIVERED],
        failed=totals[AttemptOutcome.FAILED],
        gave_up=totals[AttemptOutcome.GAVE_UP],
        median_ms=percentile(delivered, 0.5),
        p95_ms=percentile(delivered, 0.95),
    )
