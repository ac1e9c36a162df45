"""The plots of a day and the words beside them: pure, so exact."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from calliyo.pages.api_tab.delivery_words import clock_words, duration_words, span_words
from calliyo.pages.api_tab.plot import HEIGHT, WIDTH, compact, nice, plot_of
from webhooks.last_day import HOUR, LastDay, Span

FIRST = datetime(2026, 11, 24, 10, tzinfo=UTC)


def span(number, delivered=0, failed=0, median=None, p95=None):
    at = FIRST + number * HOUR
    return Span(begins_at=at, delivered=delivered, failed=failed, gave_up=0, median_ms=median, p95_ms=p95)


def day(*spans):
    by_hour = {(each.begins_at - FIRST) // HOUR: each for each in spans}
    hours = [by_hour.get(number, span(number)) for number in range(24)]
    delivered, failed = sum(each.delivered for each in hours), sum(each.failed for each in hours)
    whole = Span(begins_at=FIRST, delivered=delivered, failed=failed, gave_up=0, median_ms=None, p95_ms=None)
    return LastDay(whole=whole, hours=hours)


@pytest.mark.parametrize(
    ("value", "end"), [(0, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (10, 10), (11, 20), (4_000_001, 5_000_000)]
)
def test_an_axis_ends_at_a_round_number_that_is_not_below(value, end):
    assert nice(value) == end


@pytest.mark.parametrize(("number", "words"), [(0, "0"), (500, "500"), (1500, "1.5k"), (2_000_000, "2M")])
def test_counts_on_an_axis_are_short(number, words):
    assert compact(number) == words


@pytest.mark.parametrize(
    ("delivered", "marks"), [(1, ["0", "1"]), (2, ["0", "1", "2"]), (4, ["0", "5"]), (40, ["0", "25", "50"])]
)
def test_a_count_is_never_marked_by_halves(delivered, marks):
    assert [label.text for label in plot_of(day(span(3, delivered=delivered))).counts] == marks


def test_a_day_without_attempts_has_no_plot():
    assert plot_of(day()) is None


def test_bars_stand_on_the_foot_failed_upon_delivered_and_none_vanishes_or_leaves_the_box():
    with timezone.override(UTC):
        plot = plot_of(day(span(0, delivered=1_000_000, failed=1), span(23, failed=1)))
    first, last = plot.bars[0], plot.bars[23]
    foot = first.delivered.y + first.delivered.height
    assert first.failed.y + first.failed.height == pytest.approx(first.delivered.y)
    assert last.delivered is None
    assert last.failed.height >= 2
    assert last.failed.y + last.failed.height == pytest.approx(foot)
    for bar in plot.bars:
        for box in filter(None, (bar.whole, bar.delivered, bar.failed)):
            assert box.x >= 0
            assert box.x + box.width <= WIDTH
            assert 0 <= box.y <= HEIGHT
    assert first.words == "10:00–11:00: 1,000,000 delivered, 1 failed"
    assert [label.text for label in plot.hours] == ["12:00", "18:00", "00:00", "06:00"]
    assert [label.text for label in plot.counts] == ["0", "1M", "2M"]
    assert [row.hour for row in plot.table] == ["10:00–11:00", "09:00–10:00"]


def test_a_line_breaks_where_there_is_nothing_and_a_lone_hour_is_a_dot():
    times = {0: 20.0, 1: 30.0, 5: 40.0}
    spans = [span(n, delivered=1, median=ms, p95=2 * ms) for n, ms in times.items()]
    plot = plot_of(day(*spans))
    assert len(plot.median.runs) == 1
    assert len(plot.median.runs[0].split()) == 2
    assert len(plot.median.dots) == 3
    assert [label.text for label in plot.times] == ["0", "50 ms", "100 ms"]


def test_where_nothing_was_delivered_there_are_no_times():
    plot = plot_of(day(span(3, failed=2)))
    assert plot.times == []
    assert plot.table[0].median == "—"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (48, "48 s"), (90, "2 min"), (3600, "60 min"), (7200, "2 h"), (3 * 86400, "3 days")],
)
def test_spans_are_said_as_one_says_them(seconds, words):
    assert span_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, ""), (0, "0 ms"), (3.14, "3.1 ms"), (84.2, "84 ms"), (1204, "1.2 s"), (15000, "15 s")],
)
def test_durations_are_said_with_as_many_digits_as_matter(milliseconds, words):
    assert duration_words(milliseconds) == words


def test_the_day_is_named_where_it_is_not_today():
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    with timezone.override(UTC):
        said = [clock_words(now - timedelta(days=days, minutes=1), now) for days in (0, 1, 400)]
    assert said == ["11:59:00", "24 Nov, 11:59", "21 Oct 2025, 11:59"]
