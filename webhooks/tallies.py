"""Numbers that only grow, for `/metrics`: counted in a worker's memory, added to the database's every few seconds.

Workers are other processes than those that answer a scrape, they come and go, and some are killed. So no worker has a
port of its own to be found and scraped: all add to the same rows, and any web process shows them. Sending pays for a
number in a dictionary; the statement that adds them up is the sweep's. A worker that is killed takes what it counted
since its last sweep with it: the rows of `Attempt` are the truth, these are for rates.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from calliyo import counters
from webhooks.models import Tally

SUM: Final = "sum"
BEYOND: Final = "+Inf"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Seconds, counted by the least of `bounds` that they don't exceed."""

    name: str
    bounds: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """How the counts are labelled, in order, the one beyond all bounds last."""
        return (*(f"{bound:g}" for bound in self.bounds), BEYOND)

    def label(self, seconds: float) -> str:
        """Under which label `seconds` count."""
        place = bisect_left(self.bounds, seconds)
        return BEYOND if place == len(self.bounds) else f"{self.bounds[place]:g}"


ATTEMPTS: Final = "attempts"
LEASES: Final = "leases"
TAKEOVERS: Final = "lease_takeovers"
REQUEST: Final = Histogram("request", (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15))
DELIVERY: Final = Histogram(
    "delivery", (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60, 600, 3600, 86400)
)


class Tallies:
    """What one worker has counted and not saved yet. For one thread."""

    def __init__(self) -> None:
        self._unsaved: defaultdict[tuple[str, str], float] = defaultdict(float)

    def count(self, name: str, label: str = "", *, by: float = 1) -> None:
        """Adds to one number."""
        self._unsaved[name, label] += by

    def observe(self, histogram: Histogram, seconds: Sequence[float]) -> None:
        """Counts each under its bound."""
        for each in seconds:
            self._unsaved[histogram.name, histogram.label(each)] += 1
            self._unsaved[histogram.name, SUM] += each

    def save(self) -> None:
        """Adds all to the database's numbers; what can't be saved now is kept."""
        grown = {named: by for named, by in self._unsaved.items() if by}
        counters.add(Tally, ("name", "label"), "value", grown)
        self._unsaved.clear()


def tallies() -> Mapping[str, Mapping[str, float]]:
    """What all workers have counted: by name, by label."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, label, value in Tally.objects.values_list("name", "label", "value"):
        found[name][label] = value
    return found
