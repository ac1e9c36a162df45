"""The lines of a lead's timeline that have no row of their own: their kinds, and how one is written."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from calliyo.actor import current_actor
from calliyo.unit_of_work import part_of_unit
from leads.models import Activity

BATCH = 1_000


class ActivityKind(StrEnum):
    """What happened; the comment shows the line's `data`."""

    CREATED = "created"  # {"source": "Website form"}
    SUBMITTED_AGAIN = (
        "submitted_again"  # {"submitted": {"first_name": "Asha", …}}: a form sent a known number
    )
    DETAILS_CHANGED = "details_changed"  # {"phone": {"from": "+91…", "to": "+91…"}, …}
    TAGS_CHANGED = "tags_changed"  # {"added": ["Hot"], "removed": []}
    STATUS_CHANGED = "status_changed"  # {"from": {"id": 1, "name": "Unassigned"}, "to": {…}}
    OWNER_CHANGED = "owner_changed"  # {"from": null or {"id": 4, "name": "Farheen Shaikh"}, "to": …}
    FOLLOW_UP_RESCHEDULED = "follow_up_rescheduled"  # {"id": 12, "from": "2026-11-24T…Z", "to": "…"}
    FOLLOW_UP_REOPENED = "follow_up_reopened"  # {"id": 12}


Lines = Mapping[int, Mapping[str, Any]] | Iterable[tuple[int, Mapping[str, Any]]]


def record(kind: ActivityKind, lines: Lines) -> None:
    """Adds a line of this kind, by the acting person or key, for each lead's id and data in `lines`."""
    actor = current_actor()
    with part_of_unit() as unit:
        rows: Iterable[Activity] = (
            Activity(
                lead_id=lead_id,
                kind=kind,
                at=unit.stamp(),
                actor_type=actor.type,
                actor_id=actor.id,
                actor_name=actor.name or "",
                data=dict(data),
            )
            for lead_id, data in (lines.items() if isinstance(lines, Mapping) else lines)
        )
        Activity.objects.bulk_create(rows, batch_size=BATCH)
