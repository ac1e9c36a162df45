"""One change of the CRM: a transaction, its moment, and what must be done at its end and within it.

The outermost unit counts; inner ones join it, each in a savepoint, so that a refused inner step can be caught.
`@unit_of_work` on a function also retries it when the database asks for that, so the function does nothing outside
the database. `with unit_of_work():` is for scripts and is not retried.
"""

import functools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, overload

from django.db import OperationalError, connection, transaction
from psycopg import errors

from calliyo.prepared import fetch

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
_unit: ContextVar["UnitOfWork | None"] = ContextVar("unit_of_work", default=None)


class Marker:
    """Lives in the transaction's list of callbacks: Django drops it there when its savepoint is rolled back."""

    __slots__ = ("savepoints",)

    def __init__(self, savepoints: frozenset[str | None]) -> None:
        self.savepoints = savepoints

    def __call__(self) -> None:
        """Nothing is to be done on commit; only its presence counts."""


class UnitOfWork:
    """The running unit: what its parts share until it commits."""

    def __init__(self) -> None:
        self.notes: dict[
            object, Any
        ] = {}  # what a participant keeps for the length of the unit, under a key of its own
        self._finishers: list[Callable[[], None]] = []
        self._stamp: datetime | None = None
        self._marker: Marker | None = None

    def stamp(self) -> datetime:
        """The unit's moment: the database's clock in whole milliseconds, the same each time it is asked for.

        On PostgreSQL it is read after the transaction has its id, so that a reader who looks for the oldest open
        write transaction sees this one before he could see a later moment (`updated_after` relies on it).
        """
        if self._stamp is None:
            self._stamp = _database_moment()
        return self._stamp

    def stamp_is(self, moment: datetime) -> None:
        """Takes a moment that a statement of this unit read from the clock after it locked a row."""
        if self._stamp is None:
            self._stamp = moment

    def at_end(self, finish: Callable[[], None]) -> None:
        """Calls `finish` once when the unit's own work is done, inside its transaction."""
        self._finishers.append(finish)

    def finish(self) -> None:
        while self._finishers:
            self._finishers.pop(0)()

    def marker(self) -> Marker:
        """What stands for the savepoints that are open now; `survives` tells later whether they were rolled back."""
        open_now = frozenset(connection.savepoint_ids)
        if self._marker is None or self._marker.savepoints != open_now:
            self._marker = Marker(open_now)
            transaction.on_commit(self._marker)
        return self._marker

    @staticmethod
    def survives(marker: Marker) -> bool:
        """Whether nothing that `marker` stands for has been rolled back."""
        return marker.savepoints <= set(connection.savepoint_ids) or marker in living_markers()


def living_markers() -> set[Marker]:
    """The markers whose savepoints were not rolled back, in the open transaction."""
    return {entry[1] for entry in connection.run_on_commit if isinstance(entry[1], Marker)}


def _database_moment() -> datetime:
    if connection.vendor != "postgresql":
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
    # The first function gives the transaction its id; the CASE makes the clock be read after it.
    moment: datetime = fetch(
        "SELECT date_trunc('milliseconds', CASE WHEN pg_current_xact_id() IS NOT NULL THEN clock_timestamp() END)",
        [],
    )[0][0]
    return moment


def current_unit() -> UnitOfWork | None:
    """The running unit of work of this thread, if any."""
    return _unit.get()


@contextmanager
def _outermost() -> Iterator[UnitOfWork]:
    unit = UnitOfWork()
    token = _unit.set(unit)
    try:
        with transaction.atomic():
            yield unit
            unit.finish()
    finally:
        _unit.reset(token)


@contextmanager
def _joined() -> Iterator[UnitOfWork]:
    unit = _unit.get()
    if unit is None:
        with _outermost() as unit:
            yield unit
    else:
        with transaction.atomic():
            yield unit


@contextmanager
def part_of_unit() -> Iterator[UnitOfWork]:
    """For one write of a model: the running unit without a savepoint of its own, or a unit just for this write."""
    unit = _unit.get()
    if unit is None:
        with _outermost() as unit:
            yield unit
    else:
        yield unit


@overload
def unit_of_work(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def unit_of_work() -> Any: ...
def unit_of_work(function: Callable[P, R] | None = None) -> Any:
    """One change of the CRM, as a decorator or, called without a function, as a context manager."""
    if function is None:
        return _joined()

    @functools.wraps(function)
    def decorated(*args: P.args, **kwargs: P.kwargs) -> R:
        if _unit.get() is not None or connection.in_atomic_block:
            with _joined():
                return function(*args, **kwargs)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _outermost():
                    return function(*args, **kwargs)
            except OperationalError as error:
                if attempt == ATTEMPTS or not _may_be_repeated(error):
                    raise
                time.sleep(random.uniform(0.005, 0.05) * attempt)  # noqa: S311  # spreads rivals; not a secret
        raise AssertionError("the last attempt returns or raises")

    return decorated


def _may_be_repeated(error: OperationalError) -> bool:
    """Whether the database rolled back only because of rivals: deadlock or serialization failure."""
    return isinstance(error.__cause__, errors.DeadlockDetected | errors.SerializationFailure)
