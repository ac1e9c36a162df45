"""What is gone: those who sync are told (`deleted_after=`)."""

from collections.abc import Iterable
from datetime import datetime

from django.db import models

from calliyo.fields import MomentField


class Deletion(models.Model):
    """A resource's row that no longer is, under the resource's path (`leads`, `follow-ups`, …).

    A lead that ceased to be a customer is gone from `customers`.
    """

    resource = models.CharField(max_length=20)
    object_id = models.BigIntegerField()
    deleted_at = MomentField()

    class Meta:
        ordering = ["-deleted_at", "-id"]
        indexes = [models.Index(fields=["resource", "deleted_at", "id"], name="deletion_by_resource")]

    def __str__(self) -> str:
        return f"{self.resource} {self.object_id}"

    @classmethod
    def note(cls, resource: str, object_ids: Iterable[int], at: datetime) -> None:
        """Writes down that these are gone."""
        Deletion.objects.bulk_create(
            Deletion(resource=resource, object_id=pk, deleted_at=at) for pk in object_ids
        )
