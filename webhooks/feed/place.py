"""A reader's place in the log, and how it is spelled: `next_after` as we gave it, or an event's id."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from calliyo.errors import DomainError
from webhooks.models import Event, PrunedLog

_SPELLED: Final = re.compile(rb"1\.(\d{1,18})\.(\d{1,18})", re.ASCII)
_EVENT_ID: Final = re.compile(r"evt_([0-9a-f]{32})", re.ASCII)


class UnknownPlace(DomainError):
    """`after` is neither an event's id nor something that we gave as `next_after`."""

    code = "invalid_cursor"
    field = "after"


class CursorExpired(DomainError):
    """Something behind the reader's place was pruned, so that he would miss it."""

    code = "cursor_expired"
    field = "after"


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the event at `position`.

    `forgiven`: up to there the log was pruned when the reader began at the oldest event that was kept. Among the
    pruned ones single events stay, for deliveries that wait for them: without it he would be told of his own
    first page that what follows it is gone.
    """

    position: int
    forgiven: int = 0

    def __str__(self) -> str:
        forgiven = self.forgiven if self.forgiven > self.position else 0
        # Neither signed nor bound to a key: it outlives every secret, and tells where, not what.
        return base64.urlsafe_b64encode(b"1.%d.%d" % (self.position, forgiven)).decode().rstrip("=")

    @classmethod
    def spelled(cls, text: str) -> Self:
        """The place that `text` spells; raises `UnknownPlace`."""
        try:
            inner = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            inner = b""
        found = _SPELLED.fullmatch(inner)
        if found is None:
            raise UnknownPlace("Must be the next_after of a page, the id of an event, or latest.")
        return cls(int(found[1]), int(found[2]))

    def is_behind(self, pruned: int) -> bool:
        """Whether something after it was pruned."""
        return pruned > max(self.position, self.forgiven)


def uid_of(public_id: str) -> UUID | None:
    """The uid in an event's id; None for what is no such id."""
    found = _EVENT_ID.fullmatch(public_id)
    return None if found is None else UUID(found[1])


def place_of(after: str) -> Place:
    """The place that the reader names. All committed events must have their positions.

    Raises `UnknownPlace`, and `CursorExpired` for the id of an event that is gone.
    """
    if not after.startswith("evt_"):
        return Place.spelled(after)
    uid = uid_of(after)
    position = (
        None if uid is None else Event.objects.filter(uid=uid).values_list("position", flat=True).first()
    )
    if position is not None:
        return Place(position)
    pruned = PrunedLog.objects.first()
    if uid is not None and pruned is not None:
        if uid == pruned.uid:
            return Place(pruned.position)
        # Ids grow with time: one beyond the greatest that was pruned never was in the log.
        if pruned.highest_uid is not None and uid.version == 7 and uid <= pruned.highest_uid:
            raise expired()
    raise UnknownPlace("There is no event with this id.")


def expired() -> CursorExpired:
    return CursorExpired(
        "Events after this place are no longer kept. Read what you need anew from the lists, then go on with "
        "after=latest, or without after from the oldest event that is kept."
    )
