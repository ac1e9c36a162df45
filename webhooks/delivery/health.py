"""What an endpoint's outcomes say of it: pure. So far counted and dated; nobody is slowed down or turned off by it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Failures since the last success, when the first of them was, and when that success was."""

    failures_in_a_row: int = 0
    failing_since: datetime | None = None
    last_success_at: datetime | None = None


def after(facts: Facts, successes: Iterable[bool], at: datetime) -> Facts:
    """The facts once these outcomes, in their order, came in at `at`."""
    for succeeded in successes:
        if succeeded:
            facts = Facts(last_success_at=at)
        else:
            facts = replace(
                facts,
                failures_in_a_row=facts.failures_in_a_row + 1,
                failing_since=facts.failing_since or at,
            )
    return facts
