"""`/public/calls`: what was dialled or answered."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import MomentFilter, RepeatableFilter, StrictFilterSet, WordField, WordFilter
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter
from leads.models import Call, CallDirection, CallStatus
from leads.pictures import CALL_COLUMNS, Picture, call_picture


class CallFilters(StrictFilterSet):
    lead_id = IdsFilter("lead")
    agent_id = IdsFilter("agent")
    status = RepeatableFilter("status", each=WordField(words=CallStatus.values))
    direction = WordFilter("direction", words=CallDirection.values)
    started_after = MomentFilter("started_at", "gte")
    started_before = MomentFilter("started_at", "lt")


class CallViewSet(CRMViewSet):
    resource = Resource.CALLS
    model = Call
    columns = CALL_COLUMNS
    filters = CallFilters
    orderings = ("id", "started_at", "created_at", "updated_at")

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [call_picture(row) for row in rows]
