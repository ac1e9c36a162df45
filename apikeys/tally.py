"""Counts calls in memory and writes them down every few seconds: no request waits for the database to be counted.

One thread of each web process adds its counts to the rows of `KeyUsage` and `RecentCalls` and appends to
`RefusedCall`. A process that ends in good order writes what it has left; one that is killed loses what it counted since
its last writing, `EVERY` seconds at most.
"""

import atexit
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import structlog
from django.db import Error, connection, transaction

from apikeys.models import CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.scopes import Access
from calliyo import counters
from calliyo.models import Company

log = structlog.get_logger(__name__)

EVERY: Final = 5.0  # seconds between two writings
REFUSED_KEPT: Final = 100  # for each key
AT_EXIT: Final = 5.0  # seconds that a writing which is under way is waited for
# A day begins on a quarter of an hour of UTC in every time zone that there is.
QUARTER: Final = 900  # seconds


class Call(NamedTuple):
    """What is counted apart."""

    quarter: int  # quarters of an hour since 1970
    api_key_id: int
    resource: str
    access: Access
    result: CallResult


class Tally:
    """The counts of this process that are not written yet; safe for threads."""

    def __init__(self, *, by_thread: bool = True) -> None:
        self.by_thread = by_thread
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._calls: Counter[Call] = Counter()
        self._refused: dict[int, deque[RefusedCall]] = {}
        self._thread: threading.Thread | None = None

    def count(
        self,
        api_key_id: int,
        resource: str,
        access: Access,
        result: CallResult,
        refused: RefusedCall | None = None,
    ) -> None:
        """Adds one call; `refused` is what is noted of it."""
        call = Call(int(time.time()) // QUARTER, api_key_id, resource, access, result)
        with self._counting:
            self._calls[call] += 1
            if refused is not None:
                self._refused.setdefault(api_key_id, deque(maxlen=REFUSED_KEPT)).append(refused)
            if self._thread is None and self.by_thread:
                self._thread = threading.Thread(target=self._run, name="calliyo-usage", daemon=True)
                self._thread.start()

    def write(self) -> None:
        """Writes down what was counted; what can't be written now is kept. Raises the database's errors."""
        if not self._writing.acquire(timeout=AT_EXIT):
            return  # the database hangs, and has what we would write
        try:
            with self._counting:
                calls, self._calls = self._calls, Counter()
                refused, self._refused = self._refused, {}
            try:
                _write(calls, [call for calls_of_key in refused.values() for call in calls_of_key])
            except Exception:
                self._take_back(calls, refused)
                raise
        finally:
            self._writing.release()

    def clear(self) -> None:
        """Forgets what was counted."""
        with self._counting:
            self._calls.clear()
            self._refused.clear()

    def finish(self) -> None:
        """Writes the rest, where this process has counted: it is about to end."""
        if self._thread is not None:
            self._written()

    def _take_back(self, calls: Counter[Call], refused: dict[int, deque[RefusedCall]]) -> None:
        with self._counting:
            self._calls.update(calls)
            for api_key_id, earlier in refused.items():
                later = self._refused.get(api_key_id, ())
                self._refused[api_key_id] = deque([*earlier, *later], maxlen=REFUSED_KEPT)

    def _run(self) -> None:
        while True:
            time.sleep(EVERY)
            self._written()

    def _written(self) -> None:
        if not self._calls:
            return
        try:
            self.write()
        except Error as error:
            log.warning("usage.not_written", error=str(error))
        except Exception:
            log.exception("usage.not_written")  # a fault of ours; the thread goes on
        finally:
            connection.close()


def _write(calls: Counter[Call], refused: list[RefusedCall]) -> None:
    if not calls:
        return
    zone = Company.current().zone
    days: Counter[tuple[int, date, str, str, str]] = Counter()
    quarters: Counter[tuple[int, int]] = Counter()
    for call, count in calls.items():
        day = datetime.fromtimestamp(call.quarter * QUARTER, UTC).astimezone(zone).date()
        days[call.api_key_id, day, call.resource, call.access.value, call.result.value] += count
        quarters[call.api_key_id, call.quarter] += count
    with transaction.atomic():
        counters.add(KeyUsage, ("api_key_id", "day", "resource", "access", "result"), "calls", days)
        counters.add(RecentCalls, ("api_key_id", "quarter"), "calls", quarters)
        RefusedCall.objects.bulk_create(refused, batch_size=counters.BATCH)
    _forget_older({call.api_key_id for call in refused})


def _forget_older(api_key_ids: Iterable[int]) -> None:
    """Leaves the last calls of each key."""
    for api_key_id in sorted(api_key_ids):
        of_key = RefusedCall.objects.filter(api_key_id=api_key_id)
        beyond = of_key.order_by("-id").values_list("pk", flat=True)[REFUSED_KEPT : REFUSED_KEPT + 1]
        for pk in beyond:
            of_key.filter(pk__lte=pk).delete()


TALLY = Tally()


def _start_anew_in_child() -> None:
    # A forked child has no thread and perhaps a locked lock; what was counted before is its parent's to write.
    TALLY.__init__(by_thread=TALLY.by_thread)  # type: ignore[misc]  # the one that others have imported


os.register_at_fork(after_in_child=_start_anew_in_child)
atexit.register(TALLY.finish)
