"""What a step of the database's clock leaves behind is put right: nothing is waited for longer than it ever would be.

Times in the database are told by its clock. Set back, it makes each of them lie further ahead than it was meant.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db.models import Max, QuerySet

from webhooks.delivery.clock import ClockWatch
from webhooks.delivery.health import LONGEST_RETRY_AFTER, RULES
from webhooks.delivery.lease import LEASE_SECONDS
from webhooks.delivery.retry import SPREAD
from webhooks.models import Delivery, DeliveryState, EndpointState

log = structlog.get_logger(__name__)

# A lease that lasts longer than this was written by a clock that has been set back since.
_LONGEST_LEASE = timedelta(seconds=LEASE_SECONDS + 1)
_LONGEST_GAP = timedelta(minutes=1)


def shorten_waits(now: datetime, schedule: Sequence[float]) -> None:
    """Cuts every wait to the longest that it could be if it began now; doing it twice is the same as once."""
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING, next_attempt_at__gt=now)
    # Read once, whatever the number that waits; next to never is there anything to write.
    latest = waiting.order_by().values_list("attempts").annotate(latest=Max("next_attempt_at"))
    for attempts, until in latest:
        seconds = schedule[attempts] if 0 < attempts < len(schedule) else 0.0
        longest = now + timedelta(seconds=seconds * (1 + SPREAD))
        if until > longest:
            _cut(waiting.filter(attempts=attempts), "next_attempt_at", longest)
    endpoints = EndpointState.objects.all()
    longest_pause = max(RULES.longest_probe_wait, RULES.longest_pause)
    for name, at_most in (
        ("held_until", LONGEST_RETRY_AFTER),
        ("paused_until", longest_pause),
        ("paced_until", _LONGEST_GAP),
        ("down_since", timedelta(0)),
    ):
        _cut(endpoints, name, now + at_most)


def _cut(rows: QuerySet[Delivery] | QuerySet[EndpointState], name: str, latest: datetime) -> None:
    rows.filter(**{f"{name}__gt": latest}).update(**{name: latest})


class LeaseWatch:
    """Finds leases that seem to last too long, and whether somebody renews them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[tuple[int, int, datetime | None], float] = {}

    def free_the_dead(self, now: datetime) -> int:
        """Frees those that nobody renewed for a lease's length by our own clock; says how many."""
        too_long = EndpointState.objects.filter(leased_until__gt=now + _LONGEST_LEASE)
        current = set(too_long.values_list("webhook_id", "lease_number", "leased_until"))
        at = time.monotonic()
        self._seen = {lease: self._seen.get(lease, at) for lease in current}
        dead = [lease for lease, since in self._seen.items() if at - since >= self._seconds]
        return sum(
            EndpointState.objects.filter(webhook_id=webhook, lease_number=number, leased_until=until).update(
                leased_until=now
            )
            for webhook, number, until in dead
        )


class CheckedClock:
    """The database's clock, whose steps are noticed and what they made wrong is put right."""

    def __init__(self, schedule: Sequence[float]) -> None:
        self._schedule = schedule
        self._watch = ClockWatch()
        self._leases = LeaseWatch(LEASE_SECONDS)
        self._no_takeover_before = 0.0

    def now(self) -> datetime:
        """Now by the database's clock, looked at for a step."""
        now, step = self._watch.look()
        if step is not None:
            if step:
                log.warning("clock.stepped", seconds=round(step, 1))
            shorten_waits(now, self._schedule)
        if step and step > 0:
            # Living leases seem to have run out until they are renewed; nobody takes them over meanwhile.
            self._no_takeover_before = time.monotonic() + LEASE_SECONDS
        return now

    def free_the_dead(self, now: datetime) -> None:
        """Frees the leases of the dead that a clock which was set back since has made long."""
        self._leases.free_the_dead(now)

    def may_take_over(self) -> bool:
        """Whether a lease that has run out by this clock may be believed to be nobody's."""
        return time.monotonic() >= self._no_takeover_before
