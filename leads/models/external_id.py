"""What other systems call our leads."""

from collections.abc import Collection, Iterable

from django.db import models
from django.db.models import Q

from leads.models.base import Resource, Written
from leads.models.lead import Lead
from leads.models.locking import Row


class ExternalId(Written):
    """An API key's own id for a lead: one each way. Setting it touches the lead, but fires no event."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="external_ids", db_index=False)
    api_key_id = models.BigIntegerField()
    value = models.CharField(max_length=255)

    shown_by_others = True

    class Meta(Written.Meta):
        constraints = [
            models.UniqueConstraint(fields=["lead", "api_key_id"], name="external_id_one_a_key_and_lead"),
            models.UniqueConstraint(fields=["api_key_id", "value"], name="external_id_unique_in_key"),
            models.CheckConstraint(condition=~Q(value=""), name="external_id_not_empty"),
        ]

    def __str__(self) -> str:
        return self.value

    @classmethod
    def touched_by(
        cls, rows: Iterable[Row], fields: Collection[str] | None
    ) -> dict[type[Resource], set[int]]:
        return {Lead: {row["lead_id"] for row in rows}}
