"""What a unit of work has touched so far: the first pictures of rows, and the last where they are known without a look.

All of it bears the mark of the savepoint that it was seen in, and goes with it.
"""

from dataclasses import dataclass, field
from typing import Any

from calliyo.unit_of_work import Marker, UnitOfWork, living_markers
from leads.models import Call, FollowUp, Lead, Note
from leads.models.locking import Row
from leads.pictures import LEAD_COLUMNS, Picture, lead_picture

CAPTURED = (Lead, Call, FollowUp, Note)


@dataclass(frozen=True, slots=True)
class Seen:
    """A row's values; None for a first picture of what the unit made, and for a last one that only a look can tell."""

    row: Row | None
    marker: Marker


@dataclass(slots=True)
class Collected:
    """The pictures of one unit of work, by model and primary key."""

    first: dict[type[Any], dict[int, Seen]] = field(default_factory=lambda: {model: {} for model in CAPTURED})
    last_leads: dict[int, Seen] = field(default_factory=dict)
    status_names: dict[int, str] = field(default_factory=dict)
    first_tags: dict[int, tuple[list[str], Marker]] = field(default_factory=dict)

    def saw_first(self, model: type[Any], rows: dict[int, Row], unit: UnitOfWork) -> None:
        """Keeps what locked rows were like, unless an earlier picture of them stands."""
        pictures, marker = self.first[model], unit.marker()
        for pk, row in rows.items():
            known = pictures.get(pk)
            if known is None or not unit.survives(known.marker):
                pictures[pk] = Seen(row, marker)

    def forget_rolled_back(self) -> None:
        """Drops what was seen in savepoints that are no more."""
        living = living_markers()
        for pictures in (*self.first.values(), self.last_leads):
            for pk in [pk for pk, seen in pictures.items() if seen.marker not in living]:
                del pictures[pk]
        self.first_tags = {pk: seen for pk, seen in self.first_tags.items() if seen[1] in living}

    def known_lead(self, pk: int) -> Picture | None:
        """The lead's last picture, where one plain save has told all of it; None where the database must be asked."""
        first, last = self.first[Lead].get(pk), self.last_leads.get(pk)
        if first is None or last is None or last.row is None or pk in self.first_tags:
            return None
        # What the unit made has no tags as long as nobody said that they change.
        tags = [] if first.row is None else first.row.get("tags")
        if tags is None or "status__name" not in last.row:
            return None
        return lead_picture(tuple(last.row[column] for column in LEAD_COLUMNS), tags=tags)
