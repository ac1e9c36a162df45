"""What happened: events, and how far their log was pruned."""

from django.db import models
from django.db.models import Q

from calliyo.fields import ActorTypeField, MomentField


class Event(models.Model):
    """A fact, written in the transaction that made it true. Outside it is known by `evt_` and its uid in hex.

    `id` is drawn while the lead's row is locked, so it orders the facts of one lead; `position` is given after the
    commit, so that a reader who goes by it never misses a late one.
    """

    uid = models.UUIDField(editable=False)
    type = models.CharField(max_length=40)
    lead_id = models.BigIntegerField()
    payload = models.TextField(
        help_text="the whole body in compact JSON, as for a key that may see all of it"
    )
    actor_type = ActorTypeField()
    actor_id = models.BigIntegerField(null=True)
    created_at = MomentField()
    position = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["uid"], name="event_uid_unique"),
            models.UniqueConstraint(fields=["position"], name="event_position_unique"),
        ]
        indexes = [
            models.Index(fields=["id"], name="event_without_position", condition=Q(position=None)),
            models.Index(fields=["created_at", "id"], name="event_by_age"),
            models.Index(fields=["lead_id", "id"], name="event_by_lead"),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} {self.type}"

    @property
    def public_id(self) -> str:
        """The id that receivers see, and the `webhook-id` header."""
        return f"evt_{self.uid.hex}"


class PrunedLog(models.Model):
    """How far the log of events was pruned (one row, none before the first pruning): what a reader's place is
    judged by. A pruned event's uid is at most `highest_uid`.
    """

    ONLY_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ID, editable=False)
    position = models.BigIntegerField("highest position that was pruned", default=0)
    uid = models.UUIDField("the event that was there", null=True)
    highest_uid = models.UUIDField("the greatest uid that was pruned", null=True)

    class Meta:
        verbose_name_plural = "pruned log"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="pruned_log_is_one_row")]

    def __str__(self) -> str:
        return f"pruned up to {self.position}"
