"""A lead's timeline: its calls, notes, follow-ups and what else was done to it, read as one list."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from django.utils import timezone

from leads.activities import ActivityKind
from leads.models import Activity, Call, FollowUp, Lead, Note

LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line: when, what sort of thing (for its sign), by whom, what in a few words, what was written."""

    at: datetime
    kind: str
    who: str
    headline: str
    text: str = ""
    resource: str = ""  # the model's name where the line has a page of its own
    pk: int | None = None


def timeline(lead: Lead, *, limit: int = LONGEST) -> list[TimelineEntry]:
    """The newest entries first, at most `limit`; four queries, however long the history is."""
    sources = (_calls(lead, limit), _notes(lead, limit), _follow_ups(lead, limit), _activities(lead, limit))
    return list(islice(merge(*sources, key=lambda entry: entry.at, reverse=True), limit))


def _calls(lead: Lead, limit: int) -> Iterator[TimelineEntry]:
    calls = Call.objects.filter(lead=lead).select_related("agent").order_by("-started_at", "-id")
    for call in calls[:limit]:
        spoken = f", {_duration(call.duration_seconds)}" if call.connected else ""
        yield TimelineEntry(
            at=call.started_at,
            kind="call",
            who=str(call.agent or ""),
            headline=f"{call.get_direction_display()} call: {call.get_status_display()}{spoken}",
            text=call.note,
            resource="call",
            pk=call.pk,
        )


def _notes(lead: Lead, limit: int) -> Iterator[TimelineEntry]:
    for note in Note.objects.filter(lead=lead).order_by("-created_at", "-id")[:limit]:
        yield TimelineEntry(
            at=note.created_at,
            kind="note",
            who=note.author_name,
            headline="Note",
            text=note.text,
            resource="note",
            pk=note.pk,
        )


def _follow_ups(lead: Lead, limit: int) -> Iterator[TimelineEntry]:
    follow_ups = FollowUp.objects.filter(lead=lead).select_related("owner").order_by("-created_at", "-id")
    for follow_up in follow_ups[:limit]:
        yield TimelineEntry(
            at=follow_up.created_at,
            kind="follow_up",
            who=str(follow_up.owner or ""),
            headline=f"Follow-up, {follow_up.status}",
            text=follow_up.note,
            resource="followup",
            pk=follow_up.pk,
        )


def _activities(lead: Lead, limit: int) -> Iterator[TimelineEntry]:
    for activity in Activity.objects.filter(lead=lead).order_by("-at", "-id")[:limit]:
        headline, text = describe(activity.kind, activity.data)
        yield TimelineEntry(
            at=activity.at, kind=activity.kind, who=activity.actor_name, headline=headline, text=text
        )


def describe(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """An activity in words: a headline, and what was written or changed."""
    told = _WORDS.get(kind)
    return told(data) if told else (kind.replace("_", " ").capitalize(), "")


def _created(data: Mapping[str, Any]) -> tuple[str, str]:
    return "Lead created", f"Source: {data['source']}" if data.get("source") else ""


def _submitted_again(data: Mapping[str, Any]) -> tuple[str, str]:
    submitted = data.get("submitted", {})
    return "Sent a form again", "\n".join(f"{name}: {value}" for name, value in submitted.items())


def _details_changed(data: Mapping[str, Any]) -> tuple[str, str]:
    lines = (
        f"{name.replace('_', ' ')}: {_shown(change.get('from'), 'none')} → {_shown(change.get('to'), 'none')}"
        for name, change in data.items()
    )
    return "Details changed", "\n".join(lines)


def _tags_changed(data: Mapping[str, Any]) -> tuple[str, str]:
    signs = [f"+ {name}" for name in data.get("added", [])] + [
        f"− {name}" for name in data.get("removed", [])
    ]
    return "Tags changed", ", ".join(signs)


def _status_changed(data: Mapping[str, Any]) -> tuple[str, str]:
    return f"Status: {_shown(data.get('from'))} → {_shown(data.get('to'))}", ""


def _owner_changed(data: Mapping[str, Any]) -> tuple[str, str]:
    if data.get("from") is None:
        return f"Assigned to {_shown(data.get('to'))}", ""
    return f"Owner: {_shown(data['from'])} → {_shown(data.get('to'))}", ""


def _rescheduled(data: Mapping[str, Any]) -> tuple[str, str]:
    return "Follow-up moved", f"{_local(data.get('from'))} → {_local(data.get('to'))}"


def _local(text: str | None) -> str:
    """A moment of a line's data on the reader's clock: `2 Jan 2030, 12:00`."""
    if text is None:
        return "?"
    moment = timezone.localtime(datetime.fromisoformat(text))
    return f"{moment.day} {moment:%b %Y, %H:%M}"


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str]]] = {
    ActivityKind.CREATED: _created,
    ActivityKind.SUBMITTED_AGAIN: _submitted_again,
    ActivityKind.DETAILS_CHANGED: _details_changed,
    ActivityKind.TAGS_CHANGED: _tags_changed,
    ActivityKind.STATUS_CHANGED: _status_changed,
    ActivityKind.OWNER_CHANGED: _owner_changed,
    ActivityKind.FOLLOW_UP_RESCHEDULED: _rescheduled,
    ActivityKind.FOLLOW_UP_REOPENED: lambda _: ("Follow-up opened again", ""),
}


def _shown(value: Any, nothing: str = "nobody") -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    return nothing if value is None else str(value) or "empty"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
