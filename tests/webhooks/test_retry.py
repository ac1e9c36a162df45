"""The schedule of attempts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.delivery.retry import next_attempt_at

NOW = datetime(2026, 11, 24, 22, 48, tzinfo=UTC)
SCHEDULE = [0, 5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


@pytest.mark.parametrize(("attempts", "wait"), list(enumerate(SCHEDULE)))
def test_the_wait_after_each_failure_is_the_schedules(attempts: int, wait: int) -> None:
    assert next_attempt_at(attempts=attempts, now=NOW, jitter=0, schedule=SCHEDULE) == NOW + timedelta(
        seconds=wait
    )


def test_the_eleventh_failure_is_the_last() -> None:
    assert next_attempt_at(attempts=11, now=NOW, jitter=0, schedule=SCHEDULE) is None


def test_all_attempts_are_made_within_76_hours() -> None:
    assert sum(SCHEDULE) == pytest.approx(76 * 3600, rel=0.01)


@given(
    attempts=st.integers(0, 30),
    jitter=st.floats(-1, 1),
    schedule=st.lists(st.floats(0, 1e6), min_size=1, max_size=20),
)
def test_every_wait_is_within_a_fifth_of_its_step(
    attempts: int, jitter: float, schedule: list[float]
) -> None:
    due = next_attempt_at(attempts=attempts, now=NOW, jitter=jitter, schedule=schedule)
    if attempts >= len(schedule):
        assert due is None
        return
    assert due is not None
    wait = (due - NOW).total_seconds()
    assert 0.8 * schedule[attempts] - 0.001 <= wait <= 1.2 * schedule[attempts] + 0.001
    assert due.microsecond % 1000 == 0


def test_a_jitter_out_of_bounds_is_cut() -> None:
    far = next_attempt_at(attempts=1, now=NOW, jitter=9, schedule=SCHEDULE)
    assert far == NOW + timedelta(seconds=6)
