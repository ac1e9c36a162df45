"""Rounds in which the rivals take turns, so that a machine that slows down slows them alike."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The median of the rounds, and the least and greatest of them; all in the figure's own unit."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> "Figure":
        return cls(median=statistics.median(values), least=min(values), greatest=max(values))

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def seconds_each(work: Callable[[], object], times: int) -> float:
    """The median time of one call."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def interleaved(rivals: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """What each rival said in each round; each round begins with another one."""
    names = list(rivals)
    said: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            value = rivals[name]()
            if turn:  # the first round warms caches, plans and connections
                said[name].append(value)
    return said


def ratios(values: list[float], base: list[float]) -> Figure:
    """Round by round, how many times the base."""
    return Figure.of([value / of for value, of in zip(values, base, strict=True)])


def interval(values: list[float]) -> tuple[float, float]:
    """Between which two of the values the true median lies, 19 times of 20: by how many of them may be below it."""
    ordered, count = sorted(values), len(values)
    below, chance = 0, 0.5**count
    while chance + math.comb(count, below + 1) * 0.5**count <= 0.025:
        below += 1
        chance += math.comb(count, below) * 0.5**count
    return ordered[below], ordered[-1 - below]


def with_interval(values: list[float], base: list[float]) -> dict[str, float]:
    """Round by round, how many times the base: the figure, and between which two its true median lies."""
    low, high = interval([value / of for value, of in zip(values, base, strict=True)])
    return {**ratios(values, base).as_dict(), "low": low, "high": high}
