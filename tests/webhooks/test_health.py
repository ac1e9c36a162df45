"""An endpoint's health, by facts, answers and times alone."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.delivery.health import (
    LONGEST_RETRY_AFTER,
    RULES,
    Answer,
    Facts,
    Health,
    after,
    asides_before,
    has_failed_for_good,
    later,
    overtaken_since,
    pause,
    probe_wait,
    retry_after,
    runs_after,
    with_waiting,
)

NOW = datetime(2026, 11, 24, 22, 48, 22, 123000, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
GOOD, BAD = Answer(succeeded=True, status=200), Answer(succeeded=False, status=500)
PROBE = Answer(succeeded=False, status=500, probe=True)


def failed(times: int, *, waiting: int = 2, facts: Facts | None = None, answer: Answer = BAD) -> Facts:
    facts = facts or Facts()
    for number in range(times):
        facts = after(facts, answer, waiting=waiting, now=NOW + number * SECOND)
    return facts


def test_failures_are_counted_and_dated_since_the_last_success() -> None:
    failing = failed(3)
    assert (failing.failures_in_a_row, failing.failing_since, failing.last_success_at) == (3, NOW, None)
    assert after(failing, GOOD, waiting=9, now=NOW + MINUTE) == Facts(last_success_at=NOW + MINUTE)


def test_five_failures_make_an_endpoint_down_where_two_or_more_wait() -> None:
    assert failed(4).health is Health.HEALTHY
    down = failed(5)
    assert (down.health, down.down_since, down.probes) == (Health.DOWN, NOW + 4 * SECOND, 0)
    assert down.seconds_to_wait(NOW + 4 * SECOND) == 5
    assert failed(50, waiting=1).health is Health.HEALTHY


def test_a_second_delivery_makes_a_failing_endpoint_down_and_is_tried_at_once() -> None:
    alone = failed(5, waiting=1)
    down = with_waiting(alone, 2, NOW + MINUTE)
    assert down.is_down and down.down_since == NOW + MINUTE and down.seconds_to_wait(NOW + MINUTE) == 0
    assert with_waiting(failed(4), 2, NOW) == failed(4)


def test_a_down_endpoint_for_which_one_waits_leaves_that_to_its_schedule() -> None:
    back = with_waiting(failed(5), 1, NOW)
    assert (back.health, back.failures_in_a_row, back.paused_until, back.down_since) == (
        Health.HEALTHY,
        5,
        None,
        None,
    )


def test_probes_wait_five_seconds_first_and_ten_minutes_at_most() -> None:
    facts, waits, now = failed(5), [], NOW + 4 * SECOND
    for _ in range(10):
        waits.append(facts.seconds_to_wait(now))
        now += timedelta(seconds=waits[-1])
        facts = after(facts, PROBE, waiting=2, now=now)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert probe_wait(10**9) == timedelta(minutes=10)


def test_what_was_under_way_when_it_went_down_is_no_probe() -> None:
    down = failed(5)
    late = after(down, BAD, waiting=2, now=NOW + 5 * SECOND)
    assert (late.probes, late.paused_until) == (down.probes, down.paused_until)


def test_any_success_ends_it() -> None:
    down = failed(3, facts=failed(5), answer=PROBE)
    assert after(down, GOOD, waiting=2, now=NOW + DAY) == Facts(last_success_at=NOW + DAY)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_who_asks_for_a_slower_pace_gets_growing_pauses(status: int) -> None:
    slow = Answer(succeeded=False, status=status)
    facts, pauses = Facts(), []
    for _ in range(4):
        facts = after(facts, slow, waiting=9, now=NOW)
        pauses.append(facts.seconds_to_wait(NOW))
        assert facts.health is Health.SLOWED
    assert pauses == [0.5, 1, 2, 4]
    for left in (3, 2, 1, 0):
        facts = after(facts, GOOD, waiting=9, now=NOW)
        assert facts.health is (Health.SLOWED if left else Health.HEALTHY)


@pytest.mark.parametrize("status", [None, 301, 400, 404, 500, 501])
def test_other_failures_slow_nobody_down(status: int | None) -> None:
    facts = after(Facts(), Answer(succeeded=False, status=status), waiting=9, now=NOW)
    assert facts.health is Health.HEALTHY and facts.seconds_to_wait(NOW) == 0


def test_a_pause_is_a_minute_at_most() -> None:
    assert pause(8) == pause(100) == MINUTE


def test_retry_after_holds_in_every_state_and_only_ever_lengthens() -> None:
    hour = Answer(succeeded=False, status=503, retry_after=timedelta(hours=1))
    held = after(Facts(), hour, waiting=9, now=NOW)
    assert held.seconds_to_wait(NOW) == 3600
    shorter = Answer(succeeded=False, status=429, retry_after=SECOND)
    for answer in (shorter, GOOD, BAD, shorter):
        held = after(held, answer, waiting=9, now=NOW + SECOND)
        assert held.held_until == NOW + timedelta(hours=1)
    long = Answer(succeeded=False, status=503, retry_after=timedelta(days=40), probe=True)
    down = after(failed(5), long, waiting=9, now=NOW)
    assert down.held_until == NOW + DAY and down.is_down


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 7 ", timedelta(seconds=7)),
        ("1.5", timedelta(seconds=1.5)),
        ("86401", DAY),
        ("9" * 400, DAY),
        ("0", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        (format_datetime(NOW + timedelta(seconds=60), usegmt=True), timedelta(seconds=59.877)),
        (format_datetime(NOW - MINUTE, usegmt=True), None),
        (format_datetime(NOW + 400 * DAY, usegmt=True), DAY),
        ("Tuesday, 24-Nov-26 22:49:22 GMT", timedelta(seconds=59.877)),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: str, wait: timedelta | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == wait


def test_a_date_is_understood_by_the_endpoints_own_clock_where_it_tells_it() -> None:
    theirs = NOW - 30 * DAY
    headers = {
        "retry-after": format_datetime(theirs + MINUTE, usegmt=True),
        "DATE": format_datetime(theirs, usegmt=True),
    }
    assert retry_after(headers, NOW) == MINUTE
    assert retry_after({**headers, "DATE": "yesterday"}, NOW) is None
    assert retry_after({}, NOW) is None


@given(value=st.text(), date=st.text())
def test_whatever_a_stranger_says_is_a_wait_of_up_to_a_day_or_nothing(value: str, date: str) -> None:
    wait = retry_after({"Retry-After": value, "Date": date}, NOW)
    assert wait is None or timedelta(0) < wait <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("failing_for", "tried_for", "off"),
    [
        (timedelta(days=5), DAY, True),
        (timedelta(days=5) - SECOND, timedelta(days=4), False),
        (timedelta(days=9), DAY - SECOND, False),
        (timedelta(days=9), None, False),
        (None, timedelta(days=9), False),
    ],
)
def test_off_is_five_days_of_failures_and_a_delivery_first_tried_a_day_ago(
    failing_for: timedelta | None, tried_for: timedelta | None, off: bool
) -> None:
    facts = Facts(failing_since=None if failing_for is None else NOW - failing_for)
    first = None if tried_for is None else NOW - tried_for
    assert has_failed_for_good(facts, first_attempt_at=first, now=NOW) is off


def test_only_what_failed_before_and_after_anothers_success_is_overtaken() -> None:
    def since(attempts: int, success: datetime | None) -> datetime | None:
        return overtaken_since(attempts=attempts, first_attempt_at=NOW, last_success_at=success)

    assert since(1, NOW + SECOND) == NOW + SECOND
    assert since(0, NOW + SECOND) is None
    assert since(1, NOW) is None and since(1, NOW - DAY) is None and since(1, None) is None


def test_a_delivery_steps_aside_when_others_succeed_ten_minutes_after_they_overtook_it() -> None:
    assert asides_before(None) is None
    assert asides_before(NOW) == NOW - 10 * MINUTE


def test_requests_in_flight_start_low_grow_with_success_and_shrink_with_failure() -> None:
    allowed = 1
    for _ in range(100):
        allowed = runs_after(allowed, GOOD)
    assert allowed == RULES.most_runs
    assert runs_after(allowed, BAD) == allowed // 2 and runs_after(1, BAD) == 1
    assert runs_after(allowed, Answer(succeeded=False, status=429)) == 1
    assert runs_after(allowed, Answer(succeeded=False, status=500, retry_after=SECOND)) == 1


answers = st.builds(
    Answer,
    succeeded=st.booleans(),
    status=st.sampled_from([None, 200, 400, 410, 429, 500, 503]),
    retry_after=st.none() | st.timedeltas(min_value=SECOND, max_value=40 * DAY),
    probe=st.booleans(),
)
steps = st.lists(st.tuples(answers, st.integers(1, 3), st.timedeltas(timedelta(0), DAY)), max_size=40)


@given(steps=steps)
def test_through_any_history_the_facts_hold_together(
    steps: list[tuple[Answer, int, timedelta]],
) -> None:
    facts, now = Facts(), NOW
    for answer, waiting, passed in steps:
        now += passed
        before, facts = facts, after(facts, answer, waiting=waiting, now=now)
        # A hold is never shortened, and no wait is longer than a day.
        assert later(before.held_until, facts.held_until) == facts.held_until
        assert 0 <= facts.seconds_to_wait(now) <= DAY.total_seconds()
        assert facts.is_down == (facts.down_since is not None)
        assert (facts.failures_in_a_row == 0) == (facts.failing_since is None)
        if answer.succeeded:
            assert not facts.is_down and facts.failures_in_a_row == 0 and facts.last_success_at == now
        else:
            assert facts.failures_in_a_row == before.failures_in_a_row + 1
            assert facts.is_down == (before.is_down or (facts.failures_in_a_row >= 5 and waiting >= 2))
        assert (facts.health is Health.SLOWED) == (facts.slowdowns > 0 and not facts.is_down)
        assert with_waiting(facts, 3, now).is_down == (facts.failures_in_a_row >= 5)
        assert not with_waiting(facts, 1, now).is_down
