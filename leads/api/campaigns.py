"""`/public/campaigns`: named efforts that leads belong to."""

from typing import Any

from django.db.models import F, OuterRef

from apikeys.scopes import Resource
from calliyo.api.filters import StrictFilterSet, TextFilter, WordFilter
from leads.api.base import CRMViewSet, Gathered
from leads.models import Campaign, CampaignAgent, CampaignStatus
from leads.pictures import CAMPAIGN_COLUMNS, Picture, campaign_picture


class CampaignFilters(StrictFilterSet):
    status = WordFilter("status", words=CampaignStatus.values)
    name = TextFilter("name", "iexact")


class CampaignViewSet(CRMViewSet):
    resource = Resource.CAMPAIGNS
    model = Campaign
    columns = CAMPAIGN_COLUMNS
    filters = CampaignFilters

    def columns_read(self) -> tuple[Any, ...]:
        agents = CampaignAgent.objects.filter(campaign=OuterRef("pk")).values(item=F("user_id"))
        return (*self.columns, Gathered(agents))

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [campaign_picture(tuple(row), agent_ids=sorted(agents)) for *row, agents in rows]
