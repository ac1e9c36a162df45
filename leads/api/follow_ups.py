"""`/public/follow-ups`: when to call again."""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from apikeys.scopes import Resource
from calliyo.api.filters import MomentFilter, StrictFilterSet, WordFilter
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.leads import LeadViewSet
from leads.api.shapes import FollowUpShape
from leads.api.users import UserViewSet
from leads.models import FollowUp, FollowUpStatus
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


class FollowUpViewSet(CRMViewSet):
    resource = Resource.FOLLOW_UPS
    model = FollowUp
    columns = FOLLOW_UP_COLUMNS
    shape = FollowUpShape
    filters = FollowUpFilters
    orderings = ("id", "due_at", "created_at", "updated_at")

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"lead": LeadViewSet, "owner": UserViewSet}

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        now = timezone.now()
        return [follow_up_picture(row, now=now) for row in rows]
