"""What an endpoint's answers say of it, and when it may be asked again: pure, time comes in as an argument.

healthy → slowed (it asked for a slower pace) → down (it answers nothing well: one probe at a time). When it is off is
judged apart (`has_failed_for_good`), since that ends its deliveries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

GONE = 410
SLOW_DOWN = frozenset({429, 502, 503, 504})
LONGEST_RETRY_AFTER = timedelta(days=1)


class Health(StrEnum):
    HEALTHY = "healthy"
    SLOWED = "slowed"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers of the contract (*Webhooks*, Attempts and Order) and those that it leaves open."""

    failures_until_down: int = 5
    waiting_until_down: int = 2
    first_probe_wait: timedelta = timedelta(seconds=5)
    longest_probe_wait: timedelta = timedelta(minutes=10)
    next_of_lead_after: timedelta = timedelta(minutes=10)
    first_pause: timedelta = timedelta(seconds=0.5)
    longest_pause: timedelta = timedelta(minutes=1)
    step_aside_after: timedelta = timedelta(minutes=10)
    off_after: timedelta = timedelta(days=5)
    off_tried_for: timedelta = timedelta(days=1)
    most_slowdowns: int = 8
    most_runs: int = 8


RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one attempt brought. `probe`: it was the one that a down endpoint is tried with, until after a wait."""

    succeeded: bool
    status: int | None = None
    retry_after: timedelta | None = None
    probe: bool = False

    @property
    def asks_for_pause(self) -> bool:
        """Whether the endpoint wants nothing more for a while, or ever."""
        return not self.succeeded and (
            self.status in SLOW_DOWN or self.status == GONE or self.retry_after is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an endpoint; kept in its row, under the same names.

    `failures_in_a_row` and `failing_since` are of the time since the last success. `paused_until` is our own pause (the
    next probe, too), `held_until` what the endpoint asked for with `Retry-After`: nothing shortens that.
    """

    health: Health = Health.HEALTHY
    failures_in_a_row: int = 0
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    slowdowns: int = 0
    down_since: datetime | None = None
    probes: int = 0
    paused_until: datetime | None = None
    held_until: datetime | None = None

    @property
    def is_down(self) -> bool:
        """Whether attempts do not count now."""
        return self.health is Health.DOWN

    def seconds_to_wait(self, now: datetime) -> float:
        """How long nothing may be sent; 0 for no time."""
        until = later(self.paused_until, self.held_until)
        return 0.0 if until is None else max(0.0, (until - now).total_seconds())


def after(facts: Facts, answer: Answer, *, waiting: int, now: datetime, rules: Rules = RULES) -> Facts:
    """The facts once this answer came in; `waiting`: how many deliveries wait, with the one that was tried."""
    if answer.succeeded:
        return _after_success(facts, now)
    held = facts.held_until
    if answer.retry_after is not None:
        held = later(held, now + min(answer.retry_after, LONGEST_RETRY_AFTER))
    facts = replace(
        facts,
        failures_in_a_row=facts.failures_in_a_row + 1,
        failing_since=facts.failing_since or now,
        held_until=held,
    )
    if facts.is_down:
        return _after_failed_probe(facts, now, rules) if answer.probe else facts
    if _goes_down(facts, waiting, rules):
        return _gone_down(facts, now + probe_wait(0, rules), now)
    return _slowed(facts, now, rules) if answer.status in SLOW_DOWN else facts


def with_waiting(facts: Facts, waiting: int, now: datetime, rules: Rules = RULES) -> Facts:
    """The facts when so many deliveries wait: a second one makes a failing endpoint down, a single one follows its
    own schedule.
    """
    if facts.is_down and waiting < rules.waiting_until_down:
        return replace(facts, health=_pace(facts.slowdowns), down_since=None, probes=0, paused_until=None)
    if not facts.is_down and _goes_down(facts, waiting, rules):
        return _gone_down(facts, facts.paused_until, now)
    return facts


def has_failed_for_good(
    facts: Facts, *, first_attempt_at: datetime | None, now: datetime, rules: Rules = RULES
) -> bool:
    """Whether the endpoint is off now that a delivery, first tried then, has failed (`facts` include that)."""
    if facts.failing_since is None or first_attempt_at is None:
        return False
    return now - facts.failing_since >= rules.off_after and now - first_attempt_at >= rules.off_tried_for


def overtaken_since(
    *, attempts: int, first_attempt_at: datetime | None, last_success_at: datetime | None
) -> datetime | None:
    """Since when a delivery that has just failed fails while others succeed; None where none has, in between.

    `attempts`: how often it had failed before. `last_success_at`: of its endpoint.
    """
    if attempts < 1 or first_attempt_at is None or last_success_at is None:
        return None
    return last_success_at if last_success_at > first_attempt_at else None


def asides_before(last_success_at: datetime | None, rules: Rules = RULES) -> datetime | None:
    """Deliveries that were overtaken at this moment or before have stepped aside; None: no delivery has.

    They failed for the whole time from then to the last success, so an outage makes none step aside.
    """
    return None if last_success_at is None else last_success_at - rules.step_aside_after


def probe_wait(probes: int, rules: Rules = RULES) -> timedelta:
    """The wait before the next probe after so many have failed."""
    return _growing(rules.first_probe_wait, probes, rules.longest_probe_wait)


def pause(slowdowns: int, rules: Rules = RULES) -> timedelta:
    """The pause after an endpoint has asked for a slower pace so many times more than it succeeded."""
    return _growing(rules.first_pause, slowdowns - 1, rules.longest_pause)


def runs_after(allowed: int, answer: Answer, rules: Rules = RULES) -> int:
    """How many requests may be in flight: one more with each success, fewer with each failure."""
    if answer.succeeded:
        return min(allowed + 1, rules.most_runs)
    return 1 if answer.asks_for_pause else max(1, allowed // 2)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What `Retry-After` says, in seconds or as an HTTP date, up to a day; None for nothing, or nothing sensible."""
    values = {name.lower(): value.strip() for name, value in headers.items()}
    value = values.get("retry-after", "")
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        wait = timedelta(seconds=min(float(value), LONGEST_RETRY_AFTER.total_seconds()))
    else:
        until = _http_date(value)
        if until is None:
            return None
        # Where the answer tells its own time, what counts is the span: the endpoint's clock may be wrong.
        wait = min(until - (_http_date(values.get("date", "")) or now), LONGEST_RETRY_AFTER)
    return wait if wait > timedelta(0) else None


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two moments; None is none."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def _after_success(facts: Facts, now: datetime) -> Facts:
    slowdowns = 0 if facts.is_down else max(0, facts.slowdowns - 1)
    return Facts(
        health=_pace(slowdowns),
        last_success_at=now,
        slowdowns=slowdowns,
        paused_until=None if facts.is_down else facts.paused_until,
        held_until=facts.held_until,
    )


def _after_failed_probe(facts: Facts, now: datetime, rules: Rules) -> Facts:
    probes = facts.probes + 1
    return replace(facts, probes=probes, paused_until=now + probe_wait(probes, rules))


def _slowed(facts: Facts, now: datetime, rules: Rules) -> Facts:
    slowdowns = min(facts.slowdowns + 1, rules.most_slowdowns)
    paused = later(facts.paused_until, now + pause(slowdowns, rules))
    return replace(facts, health=Health.SLOWED, slowdowns=slowdowns, paused_until=paused)


def _goes_down(facts: Facts, waiting: int, rules: Rules) -> bool:
    return facts.failures_in_a_row >= rules.failures_until_down and waiting >= rules.waiting_until_down


def _gone_down(facts: Facts, paused_until: datetime | None, now: datetime) -> Facts:
    return replace(facts, health=Health.DOWN, down_since=now, probes=0, paused_until=paused_until)


def _pace(slowdowns: int) -> Health:
    return Health.SLOWED if slowdowns else Health.HEALTHY


def _growing(first: timedelta, times: int, longest: timedelta) -> timedelta:
    # Bounded before it is computed: nobody counts how long an endpoint may be down.
    doubled: timedelta = first * 2 ** min(max(0, times), 30)
    return min(doubled, longest)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
