"""Sample events for tests of an endpoint and for documentation, drawn by the same hand as real ones."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from calliyo.actor import Actor, ActorType
from leads.pictures import Picture, call_picture, follow_up_picture, lead_picture, note_picture
from webhooks.catalogue import EventType
from webhooks.facts import lead_changes
from webhooks.recording import render

_CREATED = datetime(2026, 11, 24, 4, 42, 10, 120000, tzinfo=UTC)
_LATER = datetime(2026, 11, 24, 5, 3, 55, 480000, tzinfo=UTC)
_DUE = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
_NAMES = ("Asha", "Verma", "+919876543210", "asha.verma@example.com")
_UNASSIGNED, _ASSIGNED, _FOLLOW_UPS, _CUSTOMER = (
    (1, "Unassigned"),
    (2, "Assigned"),
    (3, "Followups"),
    (10, "Customer"),
)
_OWNER, _CAMPAIGN, _LEAD = 7, 3, 1042
SAMPLE_ACTOR = Actor(type=ActorType.USER, id=_OWNER, name="Ravi Kumar")


def sample_payload(event_type: EventType, *, uid: UUID, at: datetime) -> str:
    """The whole body of a sample event, as for a key that may see all of it."""
    data = _DATA[event_type]
    return render(uid=uid, event_type=event_type, at=at, actor=SAMPLE_ACTOR, data=data).decode()


def _lead(
    version: int, status: tuple[int, str], owner: int | None, *, converted_at: datetime | None = None
) -> Picture:
    updated = _CREATED if version == 1 else _LATER
    row = (_LEAD, version, *_NAMES, *status, owner, _CAMPAIGN, "facebook", _CREATED, updated, converted_at)
    return lead_picture(row, tags=["hot", "webinar"])


def _changed(before: Picture, after: Picture) -> dict[str, Any]:
    return {"lead": after, "changes": lead_changes(before, after)}


_NEW = _lead(1, _UNASSIGNED, None)
_OWNED = _lead(2, _ASSIGNED, _OWNER)
_FOLLOWED = _lead(3, _FOLLOW_UPS, _OWNER)
_CONVERTED = _lead(4, _CUSTOMER, _OWNER, converted_at=_LATER)
_CALL = call_picture(
    (311, 1, _LEAD, _OWNER, "outgoing", "called", _CREATED, _LATER, 184, "Wants a demo", "", _CREATED, _LATER)
)
_DATA: dict[EventType, dict[str, Any]] = {
    EventType.LEAD_CREATED: {"lead": _NEW},
    EventType.LEAD_UPDATED: _changed(_NEW, _OWNED),
    EventType.LEAD_STATUS_CHANGED: _changed(_OWNED, _FOLLOWED),
    EventType.LEAD_ASSIGNED: _changed(_NEW, _OWNED),
    EventType.LEAD_CONVERTED: _changed(_FOLLOWED, _CONVERTED),
    EventType.CALL_COMPLETED: {"call": _CALL, "lead": _OWNED},
    EventType.FOLLOW_UP_CREATED: {
        "follow_up": follow_up_picture(
            (58, 1, _LEAD, _DUE, _OWNER, "Call back after the demo", None, _LATER, _LATER), now=_LATER
        ),
        "lead": _FOLLOWED,
    },
    EventType.FOLLOW_UP_COMPLETED: {
        "follow_up": follow_up_picture(
            (58, 2, _LEAD, _DUE, _OWNER, "Call back after the demo", _DUE, _LATER, _DUE), now=_DUE
        ),
        "lead": _FOLLOWED,
    },
    EventType.NOTE_ADDED: {
        "note": note_picture(
            (
                95,
                1,
                _LEAD,
                "Budget approved, decides on Friday.",
                "user",
                _OWNER,
                "Ravi Kumar",
                _LATER,
                _LATER,
            )
        ),
        "lead": _FOLLOWED,
    },
}
