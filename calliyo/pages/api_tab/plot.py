"""The last day of a webhook as two small plots: where each bar, line and label stands, in the units of an SVG. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext

from calliyo.pages.api_tab.delivery_words import duration_words
from webhooks.last_day import HOUR, LastDay, Span

WIDTH: Final = 320
HEIGHT: Final = 128
LEFT, RIGHT, TOP, BOTTOM = 40, 4, 10, 20
_PLOT_HEIGHT: Final = HEIGHT - TOP - BOTTOM
_GAP: Final = 2.0
_LABELLED: Final = 6  # hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word on an axis; `at` is along it, `mark` where its line or tick is drawn."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of a bar."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An hour: what was delivered at the foot, failed attempts upon it; None where there were none."""

    words: str
    whole: Box
    delivered: Box | None
    failed: Box | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """An hour's time on a line."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series: the runs of hours that have a time, as the points of polylines, and each hour's dot."""

    runs: Sequence[str]
    dots: Sequence[Dot]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourWords:
    """An hour in the table that says the same as the plots."""

    hour: str
    delivered: str
    failed: str
    median: str
    p95: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Both plots, their axes and their words. `times` is whether there is any time to draw."""

    bars: Sequence[Bar]
    counts: Sequence[Label]
    median: Line
    p95: Line
    times: Sequence[Label]
    hours: Sequence[Label]
    table: Sequence[HourWords]
    summary: str


def plot_of(day: LastDay) -> Plot | None:
    """The plots of a day; None for one in which nothing was attempted. Hours are those of the current zone."""
    if not day.whole.delivered and not day.whole.failed:
        return None
    most = nice(max(span.delivered + span.failed for span in day.hours))
    slowest = nice(max((span.p95_ms or 0 for span in day.hours), default=0))
    return Plot(
        bars=[_bar(number, span, most) for number, span in enumerate(day.hours)],
        counts=marks(most, compact, top=TOP, foot=TOP + _PLOT_HEIGHT, whole=True),
        median=_line([span.median_ms for span in day.hours], slowest),
        p95=_line([span.p95_ms for span in day.hours], slowest),
        times=marks(slowest, duration_words, top=TOP, foot=TOP + _PLOT_HEIGHT) if day.whole.delivered else [],
        hours=[
            Label(at=_x(number), text=_clock(span))
            for number, span in enumerate(day.hours)
            if localtime(span.begins_at).hour % _LABELLED == 0
        ],
        table=[_words(span) for span in day.hours if span.delivered or span.failed],
        summary=_summary(day),
    )


def marks(
    most: float, words: Callable[[float], str], *, top: float, foot: float, whole: bool = False
) -> list[Label]:
    """What an axis from 0 at `foot` to `most` at `top` is labelled with; `whole`: what it counts has no halves."""
    has_middle = most > 1 and not (whole and most % 2)
    return [
        Label(at=round(foot - (foot - top) * value / most, 2), text=words(value) if value else "0")
        for value in ((0.0, most / 2, most) if has_middle else (0.0, most))
    ]


def nice(value: float) -> float:
    """The least of 1, 2, 5, 10, 20, 50 … that is not below `value`: where an axis ends."""
    if value <= 1:
        return 1
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def compact(number: float) -> str:
    """A count on an axis: 500, 1.5k, 2M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def _x(number: int) -> float:
    return round(LEFT + number * (WIDTH - LEFT - RIGHT) / 24, 2)


def _height(value: float, most: float) -> float:
    return round(_PLOT_HEIGHT * value / most, 2)


def _bar(number: int, span: Span, most: float) -> Bar:
    foot = TOP + _PLOT_HEIGHT
    width = round((WIDTH - LEFT - RIGHT) / 24 - _GAP, 2)
    # One of thousands must not vanish.
    delivered = max(_height(span.delivered, most), 1.0) if span.delivered else 0.0
    failed = max(_height(span.failed, most), 2.0) if span.failed else 0.0
    x = round(_x(number) + _GAP / 2, 2)

    def box(above: float, height: float) -> Box:
        return Box(x=x, y=round(foot - above - height, 2), width=width, height=height)

    return Bar(
        words=gettext("%(hour)s: %(delivered)s delivered, %(failed)s failed")
        % {"hour": _span_clock(span), "delivered": f"{span.delivered:,}", "failed": f"{span.failed:,}"},
        whole=Box(x=x, y=TOP, width=width, height=_PLOT_HEIGHT),
        delivered=box(0, delivered) if delivered else None,
        failed=box(delivered, failed) if failed else None,
    )


def _line(times: Sequence[float | None], slowest: float) -> Line:
    middle = (WIDTH - LEFT - RIGHT) / 48
    dots = [
        None
        if each is None
        else Dot(x=round(_x(number) + middle, 2), y=round(TOP + _PLOT_HEIGHT - _height(each, slowest), 2))
        for number, each in enumerate(times)
    ]
    runs = [[dot for dot in run if dot] for known, run in groupby(dots, key=bool) if known]
    return Line(
        runs=[" ".join(f"{dot.x},{dot.y}" for dot in run) for run in runs if len(run) > 1],
        dots=[dot for dot in dots if dot],
    )


def _clock(span: Span) -> str:
    return date_format(localtime(span.begins_at), "H:i")


def _span_clock(span: Span) -> str:
    return f"{_clock(span)}–{date_format(localtime(span.begins_at + HOUR), 'H:i')}"


def _words(span: Span) -> HourWords:
    return HourWords(
        hour=_span_clock(span),
        delivered=f"{span.delivered:,}",
        failed=f"{span.failed:,}",
        median=duration_words(span.median_ms) or "—",
        p95=duration_words(span.p95_ms) or "—",
    )


def _summary(day: LastDay) -> str:
    """The plots in one sentence, for who does not see them."""
    busiest = max(day.hours, key=lambda span: span.delivered + span.failed)
    return gettext(
        "Last 24 hours: %(delivered)s delivered and %(failed)s failed attempts; most of them, %(most)s, at %(hour)s."
    ) % {
        "delivered": f"{day.whole.delivered:,}",
        "failed": f"{day.whole.failed:,}",
        "most": f"{busiest.delivered + busiest.failed:,}",
        "hour": _span_clock(busiest),
    }
