"""Requests by day and by result as a plot: where each bar, line and label stands, in the units of an SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from apikeys.usage import Calls, DayOfUsage
from calliyo.pages.api_tab.plot import Box, Label, compact, marks, nice

WIDTH: Final = 560
HEIGHT: Final = 184
LEFT, RIGHT, TOP, BOTTOM = 40, 20, 10, 24  # half of the last label lies in RIGHT, on a narrow screen too
FOOT: Final = HEIGHT - BOTTOM
_LABELLED: Final = 7  # days
_GAP: Final = 3.0
# Bottom up; the last is what is most worth seeing.
RESULTS: Final = ("ok", "invalid", "refused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The requests of a bar that had one result."""

    result: str
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A day, its parts from the foot up; `whole` is where a pointer finds its `words`."""

    words: str
    whole: Box
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """A day in the table that says the same as the plot."""

    day: str
    calls: Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePlot:
    """The bars, the axes and the words of the plot; `results` are those that there are."""

    bars: Sequence[Bar]
    counts: Sequence[Label]
    days: Sequence[Label]
    results: Sequence[str]
    table: Sequence[DayRow]
    summary: str


def usage_plot(days: Sequence[DayOfUsage]) -> UsagePlot | None:
    """The plot of these days; None where nothing was requested in any of them."""
    most = max((day.calls.total for day in days), default=0)
    if not most:
        return None
    top = nice(most)
    return UsagePlot(
        bars=[_bar(number, day, len(days), top) for number, day in enumerate(days)],
        counts=marks(top, compact, top=TOP, foot=FOOT, whole=True),
        days=_days(days),
        results=[result for result in RESULTS if any(getattr(day.calls, result) for day in days)],
        table=[DayRow(day=_day(day.day), calls=day.calls) for day in reversed(days) if day.calls.total],
        summary=_summary(days),
    )


def in_words(calls: Calls) -> str:
    """How many, and what came of them: "12 requests: 10 answered, 2 refused"."""
    total = ngettext("%(count)s request", "%(count)s requests", calls.total) % {"count": f"{calls.total:,}"}
    parts = [
        (calls.ok, gettext("%(count)s answered")),
        (calls.invalid, gettext("%(count)s with a mistake in them")),
        (calls.refused, gettext("%(count)s refused")),
        (calls.failed, gettext("%(count)s failed")),
    ]
    told = ", ".join(words % {"count": f"{count:,}"} for count, words in parts if count)
    return f"{total}: {told}" if told else total


def total(days: Sequence[DayOfUsage]) -> Calls:
    """All of these days together."""
    return Calls(**{result: sum(getattr(day.calls, result) for day in days) for result in RESULTS})


def _bar(number: int, day: DayOfUsage, count: int, top: float) -> Bar:
    step = (WIDTH - LEFT - RIGHT) / count
    x, width = round(LEFT + number * step + _GAP / 2, 2), round(step - _GAP, 2)
    parts, foot = [], float(FOOT)
    for result in RESULTS:
        calls = getattr(day.calls, result)
        if calls:
            # One of thousands must not vanish.
            height = max(round((FOOT - TOP) * calls / top, 2), 1.5)
            foot = round(foot - height, 2)
            parts.append(Part(result=result, box=Box(x=x, y=foot, width=width, height=height)))
    return Bar(
        words=f"{_day(day.day)}: {in_words(day.calls)}",
        whole=Box(x=x, y=TOP, width=width, height=FOOT - TOP),
        parts=parts,
    )


def _days(days: Sequence[DayOfUsage]) -> list[Label]:
    """Every seventh day, today among them."""
    step = (WIDTH - LEFT - RIGHT) / len(days)
    return [
        Label(at=round(LEFT + (number + 0.5) * step, 2), text=date_format(day.day, "j M"))
        for number, day in enumerate(days)
        if (len(days) - 1 - number) % _LABELLED == 0
    ]


def _summary(days: Sequence[DayOfUsage]) -> str:
    """The plot in a sentence, for who does not see it."""
    busiest = max(days, key=lambda day: day.calls.total)
    return gettext("Last %(days)d days: %(what)s. Most of them, %(most)s, on %(day)s.") % {
        "days": len(days),
        "what": in_words(total(days)),
        "most": f"{busiest.calls.total:,}",
        "day": _day(busiest.day),
    }


def _day(day: date) -> str:
    return date_format(day, "j M Y")
