"""What an engine tells those on call of its work: numbers for `/metrics`, and lines in the log."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from webhooks.delivery.lease import Lease
from webhooks.delivery.record import Recorded
from webhooks.tallies import ATTEMPTS, DELIVERY, LEASES, REQUEST, TAKEOVERS, Tallies

log = structlog.get_logger(__name__)

DELIVERED: Final = "delivered"
TOLD_EVERY: Final = 60.0
"""Seconds between two lines on what was attempted."""
MAX_NAMED: Final = 20


class Counts:
    """Counts what was recorded and which leases were taken. For the engine's deciding thread."""

    def __init__(self) -> None:
        self._tallies = Tallies()
        self._since = time.monotonic()
        self._outcomes: Counter[str] = Counter()
        self._longest_request = self._longest_delivery = 0.0

    def learn(self, recorded: Recorded) -> None:
        """Counts attempts by what came of them, how long each took, and how long after the change it was answered."""
        outcomes = Counter(
            outcome.result.failure.code.value if outcome.result.failure else DELIVERED
            for outcome in recorded.counted
        )
        requests = [outcome.result.timings.total for outcome in recorded.counted]
        for outcome, times in outcomes.items():
            self._tallies.count(ATTEMPTS, outcome, by=times)
        self._tallies.observe(REQUEST, requests)
        self._tallies.observe(DELIVERY, recorded.delivered_after)
        self._outcomes += outcomes
        self._longest_request = max(self._longest_request, *requests, 0.0)
        self._longest_delivery = max(self._longest_delivery, *recorded.delivered_after, 0.0)

    def took(self, leases: Sequence[Lease]) -> None:
        """Counts leases; those that another worker has let run out are told at once."""
        taken_over = [lease for lease in leases if lease.taken_from]
        self._tallies.count(LEASES, by=len(leases))
        self._tallies.count(TAKEOVERS, by=len(taken_over))
        if taken_over:
            log.warning(
                "leases.taken_over",
                count=len(taken_over),
                taken_from=sorted({lease.taken_from for lease in taken_over}),
                webhook_ids=[lease.webhook_id for lease in taken_over[:MAX_NAMED]],
            )

    def save(self) -> None:
        """Makes the numbers seen, and once a minute writes a line, if there is anything to say."""
        self._tallies.save()
        if self._outcomes and time.monotonic() >= self._since + TOLD_EVERY:
            self.tell()

    def tell(self) -> None:
        """Writes what was attempted since the last line."""
        if self._outcomes:
            delivered = self._outcomes.pop(DELIVERED, 0)
            log.info(
                "deliveries.attempted",
                seconds=round(time.monotonic() - self._since, 1),
                delivered=delivered,
                failed=self._outcomes.total(),
                failed_by=dict(self._outcomes),
                longest_request_seconds=round(self._longest_request, 3),
                longest_delivery_seconds=round(self._longest_delivery, 3),
            )
        self._since = time.monotonic()
        self._outcomes.clear()
        self._longest_request = self._longest_delivery = 0.0
