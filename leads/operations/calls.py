"""Calls that were made or came in."""

from datetime import datetime, timedelta
from typing import TypedDict

from django.utils.translation import gettext

from calliyo.unit_of_work import part_of_unit, unit_of_work
from leads.models import Call, CallDirection, CallStatus, Lead, User
from leads.operations.company import company_zone
from leads.operations.errors import InvalidCall
from leads.operations.follow_ups import resolve_due_on

_END = {"status", "ended_at", "duration_seconds"}
# The ends of a call in which somebody spoke; in the others the time until it ended was ringing.
_SPOKEN = {CallStatus.CALLED, CallStatus.FOLLOW_UP, CallStatus.RESCHEDULED}


class CallChanges(TypedDict, total=False):
    """What a correction may name."""

    agent: User | None
    direction: CallDirection | str
    status: CallStatus | str
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: int | None
    note: str
    recording_url: str


@unit_of_work
def log_call(  # noqa: PLR0913  # one argument a field
    *,
    lead: Lead,
    agent: User | None,
    status: CallStatus | str,
    direction: CallDirection | str = CallDirection.OUTGOING,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    duration_seconds: int | None = None,
    note: str = "",
    recording_url: str = "",
) -> Call:
    """Writes a call down (started now, if nothing else is said) and resolves the follow-ups due on its day.

    `ended_at` and `duration_seconds` follow from each other where one is missing. Raises InvalidCall.
    """
    with part_of_unit() as unit:
        started = started_at or unit.stamp()
    ended, duration = _end(CallStatus(status), started, ended_at, duration_seconds)
    call = Call(
        lead=lead,
        agent=agent,
        direction=direction,
        status=status,
        started_at=started,
        ended_at=ended,
        duration_seconds=duration,
        note=note.strip(),
        recording_url=recording_url.strip(),
    )
    call.save()
    resolve_due_on(lead=lead, day=started.astimezone(company_zone()).date())
    return call


@unit_of_work
def update_call(*, call: Call, changes: CallChanges) -> Call:
    """Writes what `changes` names on the row as it is now; what it says of the end is judged whole.

    Raises InvalidCall.
    """
    now: Call = Call.rows.select_for_update(no_key=True).get(pk=call.pk)
    plain = {name: value for name, value in changes.items() if name not in _END}
    for name, value in plain.items():
        setattr(now, name, value.strip() if isinstance(value, str) else value)
    fields = [*plain]
    if not _END.isdisjoint(changes) or "started_at" in changes:
        status = CallStatus(changes.get("status", now.status))
        ended_at = changes.get("ended_at", now.ended_at)
        same_end = "ended_at" not in changes and now.ended_at is not None
        duration = changes.get("duration_seconds", now.duration_seconds if same_end else None)
        if status == CallStatus.IN_PROGRESS:
            ended_at, duration = changes.get("ended_at"), changes.get("duration_seconds")
        elif ended_at is None and duration is None:
            with part_of_unit() as unit:
                ended_at = unit.stamp()
        now.status = status
        now.ended_at, now.duration_seconds = _end(status, now.started_at, ended_at, duration)
        fields += _END
    now.save(update_fields=fields)
    return now


def end_call(*, call: Call, status: CallStatus | str, ended_at: datetime | None = None) -> Call:
    """Ends a call that is in progress, now if nothing else is said; raises InvalidCall."""
    changes: CallChanges = {"status": status}
    if ended_at is not None:
        changes["ended_at"] = ended_at
    return update_call(call=call, changes=changes)


def _end(
    status: CallStatus, started_at: datetime, ended_at: datetime | None, duration_seconds: int | None
) -> tuple[datetime | None, int]:
    """When the call ended and how long was spoken; both as they are told, or the one from the other."""
    if status == CallStatus.IN_PROGRESS:
        if ended_at is not None or duration_seconds:
            raise InvalidCall(
                gettext("A call in progress has neither an end nor a duration."), field="status"
            )
        return None, 0
    if duration_seconds is not None and duration_seconds < 0:
        raise InvalidCall(gettext("A duration is zero seconds or more."), field="duration_seconds")
    if ended_at is None:
        ended_at = started_at + timedelta(seconds=duration_seconds or 0)
    if ended_at < started_at:
        raise InvalidCall(gettext("A call ends after it starts."), field="ended_at")
    length = int((ended_at - started_at).total_seconds())
    if duration_seconds is None:
        return ended_at, length if status in _SPOKEN else 0
    if duration_seconds > length:
        raise InvalidCall(gettext("The duration is longer than the call lasted."), field="duration_seconds")
    return ended_at, duration_seconds
