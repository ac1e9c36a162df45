"""`/public/lead-statuses`: the stages of the pipeline, in its order."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import StrictFilterSet, TextFilter
from leads.api.base import CRMViewSet
from leads.api.filters import WordsFilter
from leads.api.shapes import LeadStatusShape
from leads.models import LeadStatus
from leads.pictures import STATUS_COLUMNS, Picture, status_picture


class LeadStatusFilters(StrictFilterSet):
    name = TextFilter("name", "iexact")
    search = WordsFilter("name")


class LeadStatusViewSet(CRMViewSet):
    resource = Resource.LEAD_STATUSES
    model = LeadStatus
    columns = STATUS_COLUMNS
    shape = LeadStatusShape
    filters = LeadStatusFilters
    orderings = ("position", "id", "created_at", "updated_at")
    default_ordering = "position"

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [status_picture(row) for row in rows]
