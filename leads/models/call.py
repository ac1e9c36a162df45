"""Calls: what was dialled or answered, and how it ended."""

from typing import Any

from django.core.validators import URLValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import BaseExpression, Case, Value, When
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from calliyo.fields import MomentField
from calliyo.indexes import WordsIndex
from calliyo.unit_of_work import UnitOfWork
from leads.models.base import Resource
from leads.models.lead import Lead
from leads.models.locking import Row
from leads.models.user import User


class CallStatus(models.TextChoices):
    CALLED = "called"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    MISSED = "missed"
    IN_PROGRESS = "in_progress"
    FOLLOW_UP = "follow_up"
    RESCHEDULED = "rescheduled"


class CallDirection(models.TextChoices):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Call(Resource):
    """A call with a lead. Every status but In-progress is an end; `completed_at` marks the first time it got there."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="calls", db_index=False)
    agent = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls", db_index=False
    )
    direction = models.CharField(max_length=8, choices=CallDirection.choices, default=CallDirection.OUTGOING)
    status = models.CharField(max_length=11, choices=CallStatus.choices)
    started_at = MomentField()
    ended_at = MomentField(null=True, blank=True)
    duration_seconds = models.PositiveIntegerField(default=0)
    note = models.TextField(blank=True)
    recording_url = models.URLField(
        max_length=2000, blank=True, validators=[URLValidator(schemes=["http", "https"])]
    )
    completed_at = MomentField(null=True, blank=True, editable=False)

    path = "calls"
    stamp_fields = (*Resource.stamp_fields, "completed_at")

    class Meta(Resource.Meta):
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(ended_at__gte=F("started_at")), name="call_ends_after_start"),
            models.CheckConstraint(condition=Q(status__in=CallStatus.values), name="call_status_known"),
            models.CheckConstraint(
                condition=Q(direction__in=CallDirection.values), name="call_direction_known"
            ),
            models.CheckConstraint(
                condition=Q(status=CallStatus.IN_PROGRESS) | Q(completed_at__isnull=False),
                name="call_that_ended_was_completed",
            ),
        ]
        indexes = [
            models.Index(fields=["lead", "started_at", "id"], name="call_by_lead"),
            models.Index(fields=["agent", "id"], name="call_by_agent"),
            models.Index(fields=["status", "id"], name="call_by_status"),
            models.Index(fields=["started_at", "id"], name="call_by_started_at"),
            models.Index(fields=["ended_at", "id"], name="call_by_ended_at"),
            models.Index(fields=["updated_at", "id"], name="call_by_updated_at"),
            models.Index(fields=["created_at", "id"], name="call_by_created_at"),
            WordsIndex(fields=["note"], name="call_by_words"),
        ]

    def __str__(self) -> str:
        return f"{self.get_direction_display()} call, {self.get_status_display()}"

    @property
    def connected(self) -> bool:
        """Whether anybody spoke: a call with a duration counts as connected."""
        return self.duration_seconds > 0

    def prepare_write(self, before: Row | None, unit: UnitOfWork, update_fields: set[str] | None) -> None:
        self.completed_at = before["completed_at"] if before else self.completed_at
        if self.completed_at is None and self.status != CallStatus.IN_PROGRESS:
            self.completed_at = unit.stamp()
        if update_fields is not None and "status" in update_fields:
            update_fields.add("completed_at")
        super().prepare_write(before, unit, update_fields)

    @classmethod
    def stamps_of_update(cls, values: dict[str, Any], unit: UnitOfWork) -> dict[str, Any]:
        stamps = super().stamps_of_update(values, unit)
        status = values.get("status", CallStatus.IN_PROGRESS)
        ended = Coalesce(F("completed_at"), Value(unit.stamp(), output_field=MomentField()))
        if isinstance(status, BaseExpression | F):
            running = Exact(status, Value(CallStatus.IN_PROGRESS.value))
            stamps["completed_at"] = Case(
                When(running, then=F("completed_at")), default=ended, output_field=MomentField()
            )
        else:
            stamps["completed_at"] = F("completed_at") if status == CallStatus.IN_PROGRESS else ended
        return stamps
