"""The nine events: name, when each fires, the scope that it needs. It imports nothing of ours."""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext_noop


class EventType(StrEnum):
    """In the order in which the events of one commit come."""

    LEAD_CREATED = "lead.created"
    LEAD_UPDATED = "lead.updated"
    LEAD_STATUS_CHANGED = "lead.status_changed"
    LEAD_ASSIGNED = "lead.assigned"
    LEAD_CONVERTED = "lead.converted"
    CALL_COMPLETED = "call.completed"
    FOLLOW_UP_CREATED = "followup.created"
    FOLLOW_UP_COMPLETED = "followup.completed"
    NOTE_ADDED = "note.added"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One line of the product page's table. `scope` is the read scope that a key needs for it."""

    type: EventType
    fires_when: str
    scope: str


CATALOGUE: dict[EventType, EventKind] = {
    kind.type: kind
    for kind in (
        EventKind(
            type=EventType.LEAD_CREATED,
            fires_when=gettext_noop("Any new lead enters Calliyo."),
            scope="leads:read",
        ),
        EventKind(
            type=EventType.LEAD_UPDATED,
            fires_when=gettext_noop("Any field on a lead changes."),
            scope="leads:read",
        ),
        EventKind(
            type=EventType.LEAD_STATUS_CHANGED,
            fires_when=gettext_noop("The lead moved to a different status."),
            scope="leads:read",
        ),
        EventKind(
            type=EventType.LEAD_ASSIGNED,
            fires_when=gettext_noop("A lead’s owner changed."),
            scope="leads:read",
        ),
        EventKind(
            type=EventType.LEAD_CONVERTED,
            fires_when=gettext_noop("A lead became a customer."),
            scope="leads:read",
        ),
        EventKind(
            type=EventType.CALL_COMPLETED,
            fires_when=gettext_noop("A call ended (any status)."),
            scope="calls:read",
        ),
        EventKind(
            type=EventType.FOLLOW_UP_CREATED,
            fires_when=gettext_noop("A new follow-up was scheduled."),
            scope="follow-ups:read",
        ),
        EventKind(
            type=EventType.FOLLOW_UP_COMPLETED,
            fires_when=gettext_noop("A follow-up was resolved."),
            scope="follow-ups:read",
        ),
        EventKind(
            type=EventType.NOTE_ADDED,
            fires_when=gettext_noop("A note was added to a lead."),
            scope="notes:read",
        ),
    )
}
API_VERSION = "2026-11-01"


def needed_scope(event_type: EventType) -> str:
    """The read scope without which a key neither subscribes to the event nor gets it."""
    return CATALOGUE[event_type].scope
