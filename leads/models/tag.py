"""Labels on leads. A lead shows its tags' names, so what happens to a tag happens to its leads."""

from collections.abc import Collection, Iterable

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from leads.models.base import Resource
from leads.models.links import Link
from leads.models.locking import Row


class Tag(Resource):
    """A label, unique by name without regard to case."""

    name = models.CharField(max_length=100)

    shown_by_others = True

    path = "tags"

    class Meta(Resource.Meta):
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="tag_name_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="tag_has_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def touched_by(
        cls, rows: Iterable[Row], fields: Collection[str] | None
    ) -> dict[type[Resource], set[int]]:
        """A renamed or deleted tag changes its leads."""
        tags = {row["id"] for row in rows if row["id"] is not None}
        if not tags or (fields is not None and "name" not in fields):
            return {}
        lead = LeadTag._meta.get_field("lead").related_model
        return {lead: set(LeadTag.objects.filter(tag__in=tags).values_list("lead_id", flat=True))}  # type: ignore[dict-item]


class LeadTag(Link):
    """One tag on one lead."""

    lead = models.ForeignKey("leads.Lead", on_delete=models.CASCADE, related_name="+", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+", db_index=False)

    owner_field = "lead"

    class Meta(Link.Meta):
        constraints = [models.UniqueConstraint(fields=["lead", "tag"], name="lead_tag_once")]
        indexes = [models.Index(fields=["tag", "lead"], name="lead_tag_by_tag")]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.tag_id}"
