"""The gate before each request: rate limits to the letter, and what shuts it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.delivery import gate as gate_module
from webhooks.delivery.gate import Gate, RateLimit
from webhooks.delivery.health import Answer

GOOD, BAD = Answer(succeeded=True, status=200), Answer(succeeded=False, status=500)


class Time:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(gate_module, "time", clock)
    return clock


def starts(gate: Gate, clock: Time, seconds: float) -> list[float]:
    """When requests begin that take no time, for so long."""
    end, found = clock.now + seconds, []
    while gate.pass_one(end):
        found.append(clock.now)
    return found


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
def test_no_minute_has_more_requests_than_the_limit_and_none_is_given_away(
    clock: Time, per_minute: int
) -> None:
    gate = Gate()
    gate.follow(per_minute, 0)
    found = starts(gate, clock, 180)
    assert found[0] == 1000
    for start in found:
        assert sum(start <= other < start + 60 - 1e-6 for other in found) <= per_minute
    assert len(found) in (3 * per_minute, 3 * per_minute + 1)


def test_who_takes_over_waits_for_what_was_used_up(clock: Time) -> None:
    first, second = Gate(), Gate()
    first.follow(60, 0)
    used = first.used_up(3)
    assert used == 3
    second.follow(60, used)
    assert second.room(1.0, 500) == 0 and second.until_next() == 3
    assert starts(second, clock, 5) == [1003, 1004]


def test_a_time_without_requests_is_not_saved_up(clock: Time) -> None:
    gate = Gate()
    gate.follow(60, 0)
    starts(gate, clock, 1)
    clock.now += 3600
    assert gate.room(1.0, 500) == 1 and len(starts(gate, clock, 10)) == 10


def test_a_limit_may_change_and_go(clock: Time) -> None:
    gate = Gate()
    gate.follow(1, 0)
    assert len(starts(gate, clock, 1)) == 1
    gate.follow(600, 0)
    clock.now += 59.5
    assert gate.room(1.0, 500) == 5 and not gate.takes_more
    gate.follow(None, 0)
    assert gate.room(1.0, 500) == 500 and gate.takes_more and gate.used_up(5) is None


@given(
    per_minute=st.integers(1, 1_000_000),
    wait=st.floats(0, 120),
    seconds=st.floats(0, 2),
)
def test_so_many_as_there_is_room_for_may_begin(per_minute: int, wait: float, seconds: float) -> None:
    limit = RateLimit(per_minute, wait)
    room = limit.room(seconds)
    assert room >= 0 and (room == 0) == (limit.until_next() >= seconds or seconds == 0)
    assert limit.used_up(room) == pytest.approx(limit.until_next() + room * 60 / per_minute, abs=0.01)


@pytest.mark.parametrize(
    "answer",
    [Answer(succeeded=False, status=status) for status in (410, 429, 502, 503, 504)]
    + [Answer(succeeded=False, status=500, retry_after=gate_module.RULES.first_probe_wait)],
)
def test_who_asks_for_a_pause_gets_it_at_once(answer: Answer) -> None:
    gate = Gate()
    gate.learn(answer)
    assert not gate.takes_more and not gate.pass_one(time.monotonic() + 10)
    gate.reopen(failures=0)
    assert gate.pass_one(time.monotonic() + 10)


def test_five_failures_in_a_row_shut_it_with_those_before() -> None:
    gate = Gate()
    for answer in (BAD, BAD, BAD, BAD, GOOD, BAD, BAD, BAD, BAD):
        gate.learn(answer)
        assert gate.pass_one(time.monotonic() + 10)
    gate.learn(BAD)
    assert not gate.pass_one(time.monotonic() + 10)
    gate.reopen(failures=4)
    gate.learn(BAD)
    assert not gate.pass_one(time.monotonic() + 10)


def test_nothing_begins_after_its_time() -> None:
    assert not Gate().pass_one(time.monotonic())
