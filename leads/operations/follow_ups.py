"""Promises to call again: scheduled, moved, done."""

from datetime import UTC, date, datetime, time, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from calliyo.unit_of_work import part_of_unit, unit_of_work
from leads.activities import ActivityKind, record
from leads.models import FollowUp, Lead, LeadStatus, StatusRole, User
from leads.operations.company import company_zone
from leads.operations.errors import OwnerBanned
from leads.operations.statuses import change_status

MAX_NOTE = 10_000


class FollowUpChanges(TypedDict, total=False):
    """What a change may name; `resolved` true resolves, false opens again."""

    due_at: datetime
    owner: User | None
    note: str
    resolved: bool


@unit_of_work
def schedule_follow_up(
    *, lead: Lead, due_at: datetime, owner: User | None = None, note: str = ""
) -> FollowUp:
    """A new follow-up, the lead's owner's unless another is named; moves the lead to Followups.

    A customer stays a customer. Raises OwnerBanned, and Lead.DoesNotExist when the lead is gone.
    """
    now: Lead = Lead.rows.select_for_update(no_key=True).get(pk=lead.pk)
    if owner is not None:
        _refuse_banned(owner)
    follow_up = FollowUp(lead=now, due_at=due_at, owner=owner or now.owner, note=note.strip())
    follow_up.save()
    if now.status.role not in {StatusRole.CUSTOMER, StatusRole.FOLLOWUPS}:
        change_status(leads=Lead.rows.filter(pk=now.pk), to=LeadStatus.rows.get(role=StatusRole.FOLLOWUPS))
    return follow_up


@unit_of_work
def update_follow_up(*, follow_up: FollowUp, changes: FollowUpChanges) -> FollowUp:
    """Writes what `changes` names on the row as it is now: moved, resolved, opened again, handed on."""
    now: FollowUp = FollowUp.rows.select_for_update(no_key=True).get(pk=follow_up.pk)
    fields = []
    if "due_at" in changes and changes["due_at"] != now.due_at:
        line = {"id": now.pk, "from": _json(now.due_at), "to": _json(changes["due_at"])}
        record(ActivityKind.FOLLOW_UP_RESCHEDULED, {now.lead_id: line})
        now.due_at = changes["due_at"]
        fields.append("due_at")
    if "owner" in changes and changes["owner"] != now.owner:
        if changes["owner"] is not None:
            _refuse_banned(changes["owner"])
        now.owner = changes["owner"]
        fields.append("owner")
    if "note" in changes and changes["note"].strip() != now.note:
        now.note = changes["note"].strip()
        fields.append("note")
    if "resolved" in changes and changes["resolved"] != (now.resolved_at is not None):
        with part_of_unit() as unit:
            now.resolved_at = unit.stamp() if changes["resolved"] else None
        if not changes["resolved"]:
            record(ActivityKind.FOLLOW_UP_REOPENED, {now.lead_id: {"id": now.pk}})
        fields.append("resolved_at")
    now.save(update_fields=fields)
    return now


def resolve_follow_up(*, follow_up: FollowUp) -> FollowUp:
    """Marks it as done; one that is done already stays as it is."""
    return update_follow_up(follow_up=follow_up, changes={"resolved": True})


def reopen_follow_up(*, follow_up: FollowUp) -> FollowUp:
    """Takes the mark away."""
    return update_follow_up(follow_up=follow_up, changes={"resolved": False})


def reschedule_follow_up(*, follow_up: FollowUp, due_at: datetime) -> FollowUp:
    """Moves it to another time."""
    return update_follow_up(follow_up=follow_up, changes={"due_at": due_at})


@unit_of_work
def delete_follow_up(*, follow_up: FollowUp) -> None:
    """Deletes it; the lead keeps its status."""
    follow_up.delete()


@unit_of_work
def resolve_due_on(*, lead: Lead, day: date) -> int:
    """Resolves the lead's open follow-ups that are due on this day of the company's time zone."""
    start, end = day_bounds(day, company_zone())
    due = FollowUp.rows.filter(lead=lead, resolved_at=None, due_at__gte=start, due_at__lt=end)
    with part_of_unit() as unit:
        resolved: int = due.update(resolved_at=unit.stamp())
    return resolved


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the day begins and when the next one does, in UTC; where clocks change it has 23 or 25 hours."""
    start = datetime.combine(day, time.min, tzinfo=zone)
    end = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def _refuse_banned(owner: User) -> None:
    if not owner.is_active:
        raise OwnerBanned(gettext("%(user)s is banned and can't be given follow-ups.") % {"user": owner})


def _json(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
