"""`/public/calls`: what was dialled or answered."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import (
    FlagFilter,
    MomentFilter,
    RepeatableFilter,
    StrictFilterSet,
    WordField,
    WordFilter,
)
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.leads import LeadViewSet
from leads.api.shapes import CallShape
from leads.api.users import UserViewSet
from leads.models import Call, CallDirection, CallStatus
from leads.pictures import CALL_COLUMNS, Picture, call_picture


class ConnectedFilter(FlagFilter):
    """A call with a duration counts as connected."""

    def filter(self, qs: Any, value: Any) -> Any:
        if value is None:
            return qs
        return qs.filter(duration_seconds__gt=0) if value else qs.filter(duration_seconds=0)


class CallFilters(StrictFilterSet):
    lead_id = IdsFilter("lead")
    agent_id = IdsFilter("agent")
    status = RepeatableFilter("status", each=WordField(words=CallStatus.values))
    direction = WordFilter("direction", words=CallDirection.values)
    connected = ConnectedFilter()
    started_after = MomentFilter("started_at", "gte")
    started_before = MomentFilter("started_at", "lt")
    ended_after = MomentFilter("ended_at", "gte")
    ended_before = MomentFilter("ended_at", "lt")
    search = WordsFilter("note")


class CallViewSet(CRMViewSet):
    resource = Resource.CALLS
    model = Call
    columns = CALL_COLUMNS
    shape = CallShape
    filters = CallFilters
    orderings = ("id", "started_at", "created_at", "updated_at")

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"lead": LeadViewSet, "agent": UserViewSet}

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [call_picture(row) for row in rows]
