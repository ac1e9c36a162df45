"""`/public/follow-ups`: when to call again."""

from typing import Any, cast

from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework import serializers

from apikeys.scopes import Resource
from calliyo.api.filters import MomentFilter, StrictFilterSet, WordFilter
from calliyo.api.inputs import Input
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.inputs import MomentField, RowField, TextField
from leads.api.leads import LeadViewSet
from leads.api.shapes import FollowUpShape
from leads.api.users import UserViewSet
from leads.api.writing import WritableViewSet
from leads.models import FollowUp, FollowUpStatus, Lead, User
from leads.operations.errors import OwnerBanned
from leads.operations.follow_ups import (
    MAX_NOTE,
    FollowUpChanges,
    delete_follow_up,
    schedule_follow_up,
    update_follow_up,
)
from leads.pictures import FOLLOW_UP_COLUMNS, Picture, follow_up_picture


class FollowUpFilters(StrictFilterSet):
    lead_id = IdsFilter("lead")
    owner_id = IdsFilter("owner")
    status = WordFilter(words=[status.value for status in FollowUpStatus], method="filter_status")
    due_after = MomentFilter("due_at", "gte")
    due_before = MomentFilter("due_at", "lt")
    resolved_after = MomentFilter("resolved_at", "gte")
    resolved_before = MomentFilter("resolved_at", "lt")
    search = WordsFilter("note")

    def filter_status(self, queryset: QuerySet[Any], name: str, status: str) -> QuerySet[Any]:
        """Open, resolved, or overdue: the last two words of an unresolved one are told apart by the clock."""
        now = timezone.now()
        return queryset.filter(
            {
                FollowUpStatus.RESOLVED: Q(resolved_at__isnull=False),
                FollowUpStatus.OVERDUE: Q(resolved_at=None, due_at__lt=now),
                FollowUpStatus.OPEN: Q(resolved_at=None, due_at__gte=now),
            }[FollowUpStatus(status)]
        )


class FollowUpFields(Input):
    """What may be sent at both times; a text that is not there is empty, as the picture shows it."""

    due_at = MomentField()
    owner_id = RowField(model=User, source="owner", required=False, allow_null=True)
    note = TextField(max_length=MAX_NOTE, required=False, allow_blank=True, allow_null=True)

    def validate_note(self, note: str | None) -> str:
        return note or ""


class FollowUpInput(FollowUpFields):
    lead_id = RowField(model=Lead, source="lead")


class FollowUpChangesInput(FollowUpFields):
    # "overdue" is for the clock to say.
    status = serializers.ChoiceField(
        choices=[FollowUpStatus.OPEN.value, FollowUpStatus.RESOLVED.value], required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """As the operation is told it."""
        if "status" in attrs:
            attrs["resolved"] = attrs.pop("status") == FollowUpStatus.RESOLVED
        return attrs


class FollowUpViewSet(WritableViewSet):
    resource = Resource.FOLLOW_UPS
    model = FollowUp
    columns = FOLLOW_UP_COLUMNS
    shape = FollowUpShape
    filters = FollowUpFilters
    input = FollowUpInput
    changes_input = FollowUpChangesInput
    refusals = (OwnerBanned,)
    orderings = ("id", "due_at", "created_at", "updated_at")

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"lead": LeadViewSet, "owner": UserViewSet}

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        now = timezone.now()
        return [follow_up_picture(row, now=now) for row in rows]

    def add(self, values: dict[str, Any]) -> int:
        return schedule_follow_up(**values).pk

    def change(self, row: FollowUp, values: dict[str, Any]) -> None:
        update_follow_up(follow_up=row, changes=cast("FollowUpChanges", values))

    def remove(self, row: FollowUp) -> None:
        delete_follow_up(follow_up=row)
