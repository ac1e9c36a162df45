"""The timeline of a lead: what was done to it, by whom; never pruned."""

from django.db import models

from calliyo.fields import ActorTypeField, MomentField
from leads.models.lead import Lead


class Activity(models.Model):
    """One line of a lead's timeline. Calls, notes and follow-ups are their own lines; this holds what has no row."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="activities", db_index=False)
    kind = models.CharField(max_length=40)
    at = MomentField()
    actor_type = ActorTypeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "activities"
        indexes = [models.Index(fields=["lead", "at", "id"], name="activity_by_lead")]

    def __str__(self) -> str:
        return self.kind
