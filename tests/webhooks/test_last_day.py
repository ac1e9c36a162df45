"""The counters of a webhook's last day: exact numbers, times within a few percent, few rows whatever they count."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.processes import Answer, wait_until
from tests.webhooks.engines import new_key, new_lead, new_webhook, running_engine, states
from webhooks.last_day import (
    HOUR,
    Answered,
    band_of,
    bounds_of,
    count,
    forget_old,
    last_days,
    percentile,
    quarter_of,
)
from webhooks.models import QuarterHour

NOW = datetime(2026, 11, 25, 10, 7, 3, tzinfo=UTC)


@pytest.mark.parametrize("milliseconds", [0, 0.4, 1, 1.19, 1.2, 7, 84.2, 310, 15_000, 120_000])
def test_a_time_lies_within_its_band(milliseconds):
    low, high = bounds_of(band_of(milliseconds))
    assert low <= milliseconds < high * (1 + 1e-9)


def test_percentiles_are_within_a_few_percent_of_the_times_that_were_counted():
    times = [3 + number * 0.7 for number in range(1000)]
    bands: dict[int, int] = {}
    for each in times:
        bands[band_of(each)] = bands.get(band_of(each), 0) + 1
    for share in (0.05, 0.5, 0.95, 1.0):
        exact = times[max(0, round(share * 1000) - 1)]
        assert percentile(bands, share) == pytest.approx(exact, rel=0.05)
    assert percentile({}, 0.5) is None


@pytest.mark.django_db
def test_attempts_add_up_by_the_hours_of_the_reader(db):
    webhook, other = (
        new_webhook("https://a.example.com/"),
        new_webhook("https://b.example.com/", key=new_key("Other")),
    )
    for minutes, succeeded in (
        (0, True),
        (0, True),
        (8, False),
        (38, True),
        (60 * 23, True),
        (60 * 24, True),
    ):
        count([Answered(webhook.pk, succeeded, 0.084)], {}, NOW - timedelta(minutes=minutes))
    count([Answered(webhook.pk, False, 15)], {webhook.pk: 1}, NOW)
    count([Answered(other.pk, True, 1)], {}, NOW)
    # In Kolkata, half an hour apart from UTC, it is 15:37: the running hour began at 15:00 there.
    hour = NOW.astimezone(ZoneInfo("Asia/Kolkata")).replace(minute=0, second=0)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        days = last_days([webhook.pk, other.pk], hour)
    assert len(queries) == 1
    day = days[webhook.pk]
    assert (day.whole.delivered, day.whole.failed, day.whole.gave_up) == (4, 2, 1)
    assert [span.delivered for span in day.hours] == [1, *[0] * 21, 1, 2]
    assert [span.failed for span in day.hours[-2:]] == [0, 2]
    assert day.hours[-1].begins_at == hour
    assert day.hours[0].begins_at == hour - 23 * HOUR
    assert day.whole.median_ms == pytest.approx(84, rel=0.1)
    assert day.hours[1].median_ms is None
    assert days[other.pk].whole.delivered == 1


@pytest.mark.django_db
def test_a_batch_is_one_statement_and_its_size_makes_no_more_rows():
    webhook = new_webhook("https://a.example.com/")
    for size in (10, 1000):
        with CaptureQueriesContext(connection) as queries:
            count([Answered(webhook.pk, True, 0.05)] * size, {}, NOW)
        assert len(queries) == 1
    assert [row.attempts for row in QuarterHour.objects.all()] == [1010]
    with CaptureQueriesContext(connection) as queries:
        count([], {}, NOW)
    assert not queries.captured_queries


@pytest.mark.django_db
def test_counters_are_forgotten_after_two_days():
    webhook = new_webhook("https://a.example.com/")
    for days in (0, 1, 3):
        count([Answered(webhook.pk, True, 0.05)], {}, NOW - timedelta(days=days))
    assert forget_old(NOW) == 1
    assert set(QuarterHour.objects.values_list("begins_at", flat=True)) == {
        quarter_of(NOW),
        quarter_of(NOW - timedelta(days=1)),
    }


@pytest.mark.django_db(transaction=True)
def test_the_engine_counts_each_attempt_once_and_what_it_gave_up(receiver):
    webhook = new_webhook(receiver.url, ordering="none")
    receiver.answer_next(*[Answer(status=500)] * 2)
    new_lead(1)
    with running_engine(schedule=(0.0, 0.1)):
        wait_until(lambda: states(webhook) == ["failed"])
        new_lead(2)
        wait_until(lambda: states(webhook) == ["failed", "delivered"])
    counted = {
        outcome: sum(QuarterHour.objects.filter(outcome=outcome).values_list("attempts", flat=True))
        for outcome in ("delivered", "failed", "gave_up")
    }
    assert counted == {"delivered": 1, "failed": 2, "gave_up": 1}
