"""`/public/campaigns`: named efforts that leads belong to."""

from typing import Any

from django.db.models import F, OuterRef

from apikeys.scopes import Resource
from calliyo.api.filters import StrictFilterSet, TextFilter, WordFilter
from leads.api.base import CRMViewSet, Gathered
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.shapes import CampaignShape
from leads.models import Campaign, CampaignAgent, CampaignStatus
from leads.pictures import CAMPAIGN_COLUMNS, Picture, campaign_picture


class CampaignAgentFilter(IdsFilter):
    """Campaigns that any of these users works, each once."""

    def filter(self, qs: Any, value: list[int] | None) -> Any:
        links = CampaignAgent.objects.filter(user__in=value or [])
        return qs.filter(pk__in=links.values("campaign")) if value else qs


class CampaignFilters(StrictFilterSet):
    status = WordFilter("status", words=CampaignStatus.values)
    name = TextFilter("name", "iexact")
    agent_id = CampaignAgentFilter("agents")
    search = WordsFilter("name")


class CampaignViewSet(CRMViewSet):
    resource = Resource.CAMPAIGNS
    model = Campaign
    columns = CAMPAIGN_COLUMNS
    shape = CampaignShape
    filters = CampaignFilters

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        agents = CampaignAgent.objects.filter(campaign=OuterRef("pk")).values(item=F("user_id"))
        return (*cls.columns, Gathered(agents))

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [campaign_picture(tuple(row), agent_ids=sorted(agents)) for *row, agents in rows]
