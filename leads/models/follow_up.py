"""Follow-ups: when to call again."""

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils import timezone

from calliyo.fields import MomentField
from calliyo.indexes import WordsIndex
from leads.models.base import Resource
from leads.models.lead import Lead
from leads.models.user import User


class FollowUpStatus(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    OVERDUE = "overdue"


class FollowUp(Resource):
    """A call to be made, due at a time; open until it is resolved, overdue when open and past due."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="follow_ups", db_index=False)
    due_at = MomentField()
    owner = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="follow_ups", db_index=False
    )
    note = models.TextField(blank=True)
    resolved_at = MomentField(null=True, blank=True)

    path = "follow-ups"

    class Meta(Resource.Meta):
        ordering = ["due_at", "id"]
        indexes = [
            models.Index(fields=["lead", "due_at", "id"], name="follow_up_by_lead"),
            models.Index(fields=["owner", "id"], name="follow_up_by_owner"),
            models.Index(fields=["due_at", "id"], name="follow_up_by_due_at"),
            models.Index(
                fields=["due_at", "id"], name="follow_up_open_by_due_at", condition=Q(resolved_at=None)
            ),
            models.Index(
                fields=["resolved_at", "id"],
                name="follow_up_by_resolved_at",
                condition=Q(resolved_at__isnull=False),
            ),
            models.Index(fields=["updated_at", "id"], name="follow_up_by_updated_at"),
            models.Index(fields=["created_at", "id"], name="follow_up_by_created_at"),
            WordsIndex(fields=["note"], name="follow_up_by_words"),
        ]

    def __str__(self) -> str:
        return f"Follow-up due {self.due_at:%Y-%m-%d %H:%M}"

    @property
    def status(self) -> FollowUpStatus:
        return follow_up_status(due_at=self.due_at, resolved_at=self.resolved_at, now=timezone.now())


def follow_up_status(*, due_at: datetime, resolved_at: datetime | None, now: datetime) -> FollowUpStatus:
    """Open, resolved, or overdue (open and past due), as of `now`."""
    if resolved_at is not None:
        return FollowUpStatus.RESOLVED
    return FollowUpStatus.OVERDUE if due_at < now else FollowUpStatus.OPEN
