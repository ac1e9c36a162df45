"""Sharing a standing backlog: a worker with nothing to do asks for half of the webhooks that another serves.

Whoever is asked sees it with the next results, or when more is to be read, begins no further request there and gives
the lease back. So who came second to a thousand deliveries does not watch the first send them.
"""

import time
from collections.abc import Collection
from itertools import groupby
from operator import itemgetter
from typing import Final

from calliyo.prepared import fetch, fetch_once
from webhooks.delivery.bulk import ids_text
from webhooks.delivery.clock import database_clock_in
from webhooks.delivery.lease import WAITS, free_rows_only
from webhooks.delivery.rest import in_hand
from webhooks.delivery.served import Served

STANDING: Final = 20
"""So many deliveries that are due make a webhook's backlog; fewer are sent before they have changed hands."""
WORTH: Final = 2000
"""So many deliveries a worker has before it in all, for another to ask: what changes hands first stands still."""
LEISURE: Final = 0.1
"""Seconds without an outcome and with nothing to send, or without a webhook to serve: then a worker looks what others
have."""
PAUSE_AFTER_NOTHING: Final = 0.5
_WAIT_FOR = """
    SELECT 1 FROM webhooks_delivery AS d
    WHERE d.webhook_id = s.webhook_id AND d.next_attempt_at <= {now}
    LIMIT 1 OFFSET {so_many} - 1
"""
_STANDING_ELSEWHERE: Final = f"""
    SELECT lease_holder, held, webhook_id FROM (
        SELECT s.lease_holder, s.webhook_id,
            row_number() OVER (PARTITION BY s.lease_holder ORDER BY s.webhook_id) AS place,
            count(*) OVER (PARTITION BY s.lease_holder) AS held
        FROM webhooks_endpointstate AS s
        WHERE s.leased_until > {{now}} AND s.lease_holder <> %s AND NOT s.asked_for
            AND {{waits_over}} AND EXISTS ({_WAIT_FOR})
    ) AS standing
    WHERE place * 2 <= held ORDER BY lease_holder
"""  # noqa: S608  # no value
# What its holder records at this moment is passed over: it is asked for at the next look.
_ASK: Final = f"""
    UPDATE webhooks_endpointstate SET asked_for = TRUE
    WHERE webhook_id IN (
        SELECT webhook_id FROM webhooks_endpointstate AS s
        WHERE webhook_id IN ({{ids}}) AND leased_until > {{now}} AND lease_holder = %s AND EXISTS ({_WAIT_FOR}) {{lock}}
    )
    RETURNING webhook_id
"""  # noqa: S608  # no value


def ask_for_half(holder: str) -> list[int]:
    """Asks each other worker for half of the webhooks that have a standing backlog; which these are.

    Nobody is asked for his only one: it would be served no faster elsewhere.
    """
    now = database_clock_in(0)
    waits_over = " AND ".join(f"(s.{waits} IS NULL OR s.{waits} <= {now})" for waits in WAITS)
    statement = _STANDING_ELSEWHERE.format(now=now, waits_over=waits_over, so_many=STANDING)
    asked: list[int] = []
    for (other, held), rows in groupby(fetch(statement, [holder]), key=itemgetter(0, 1)):
        ids = ids_text(webhook_id for _, _, webhook_id in rows)
        share = max(STANDING, -(-WORTH // held))
        ask = _ASK.format(now=now, ids=ids, so_many=share, lock=free_rows_only())
        asked += (webhook_id for (webhook_id,) in fetch_once(ask, [other]))
    return sorted(asked)


class Leisure:
    """When an engine has nothing to do, and looks what others have. For the engine's deciding thread."""

    def __init__(self) -> None:
        self._busy_at = self._look_at = 0.0

    def busy(self) -> None:
        """An outcome came just now."""
        self._busy_at = time.monotonic()

    def asked(self, holder: str, served: Collection[Served]) -> list[int]:
        """The webhooks that others were asked for, if there was leisure to look. `served`: what it has itself."""
        now = time.monotonic()
        if in_hand(served):
            self._busy_at = now
        if now < self._look_at or (served and now < self._busy_at + LEISURE):
            return []
        asked = ask_for_half(holder)
        self._look_at = now + (LEISURE if asked else PAUSE_AFTER_NOTHING)
        return asked
