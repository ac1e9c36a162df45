"""Named efforts that leads belong to."""

from django.db import models
from django.db.models import F, Q

from leads.models.base import Resource
from leads.models.links import Link, LinkField


class CampaignStatus(models.TextChoices):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


class Campaign(Resource):
    """A named effort (status, dates, agents); read-only for integrations."""

    name = models.CharField(max_length=200)
    status = models.CharField(max_length=9, choices=CampaignStatus.choices, default=CampaignStatus.DRAFT)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    agents = LinkField("leads.User", through="leads.CampaignAgent", related_name="campaigns", blank=True)

    path = "campaigns"

    class Meta(Resource.Meta):
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_on__gte=F("starts_on")), name="campaign_ends_after_start"
            ),
            models.CheckConstraint(
                condition=Q(status__in=CampaignStatus.values), name="campaign_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CampaignAgent(Link):
    """One agent of one campaign."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey("leads.User", on_delete=models.CASCADE, related_name="+")

    owner_field = "campaign"

    class Meta(Link.Meta):
        constraints = [models.UniqueConstraint(fields=["campaign", "user"], name="campaign_agent_once")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.user_id}"
