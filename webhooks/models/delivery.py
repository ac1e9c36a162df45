"""How the telling went: deliveries."""

from django.db import models
from django.db.models import Q

from calliyo.fields import MomentField
from webhooks.models.event import Event
from webhooks.models.webhook import Webhook


class DeliveryState(models.TextChoices):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    MISSED = "missed"
    WITHHELD = "withheld"
    CANCELLED = "cancelled"


class DeliveryCause(models.TextChoices):
    EVENT = "event"
    REPLAY = "replay"
    TEST = "test"


class Delivery(models.Model):
    """One event on its way to one webhook, from queued to its outcome.

    `body` holds the bytes of the first attempt where they differ from the event's payload.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.DO_NOTHING, related_name="deliveries", db_constraint=False, db_index=False
    )
    event = models.ForeignKey(
        Event, on_delete=models.DO_NOTHING, related_name="deliveries", db_constraint=False, db_index=False
    )
    type = models.CharField(max_length=40)
    lead_id = models.BigIntegerField()
    cause = models.CharField(max_length=6, choices=DeliveryCause.choices, default=DeliveryCause.EVENT)
    sequence = models.BigIntegerField(null=True)
    state = models.CharField(max_length=9, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = MomentField()
    next_attempt_at = MomentField(null=True)
    first_attempt_at = MomentField(null=True)
    overtaken_since = MomentField(null=True, help_text="since when it fails while others succeed")
    finished_at = MomentField(null=True)
    last_status = models.PositiveSmallIntegerField("last HTTP status", null=True)
    last_error = models.CharField(max_length=500, blank=True)
    body = models.TextField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "sequence"], name="delivery_sequence_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.WAITING, finished_at=None)
                | (~Q(state=DeliveryState.WAITING) & Q(finished_at__isnull=False)),
                name="delivery_finished_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.WAITING, next_attempt_at__isnull=False)
                | (~Q(state=DeliveryState.WAITING) & Q(next_attempt_at=None)),
                name="delivery_next_attempt_while_waiting",
            ),
        ]
        indexes = [
            # The hot path: only what waits is in these three, whatever lies behind it. Each says "it waits" in words
            # of its own, which by the constraints mean the same: so a statement's words say which one it is read by.
            # With one word for all, PostgreSQL, sure that next to nothing waits, took the flattest, and read all that
            # waits for each lead.
            models.Index(
                fields=["webhook", "next_attempt_at", "id"],
                name="delivery_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
            models.Index(
                fields=["webhook", "lead_id", "id"], name="delivery_per_lead", condition=Q(state="waiting")
            ),
            # The oldest first: strict order, probes, and how long the oldest has waited; and what has no number yet.
            models.Index(
                fields=["webhook", "sequence", "id"],
                name="delivery_in_sequence",
                condition=Q(finished_at=None),
            ),
            models.Index(fields=["webhook", "id"], name="delivery_by_webhook"),
            models.Index(fields=["event"], name="delivery_by_event"),
            models.Index(
                fields=["webhook", "finished_at"], name="delivery_failed", condition=Q(state="failed")
            ),
            models.Index(
                fields=["state", "webhook", "event"],
                name="delivery_not_sent",
                condition=Q(state__in=["missed", "withheld", "cancelled"]),
            ),
            # What people filter the log by (`webhooks.delivery_log`). Entered once, when a delivery has ended.
            models.Index(
                fields=["webhook", "type", "state", "id"],
                name="delivery_ended",
                condition=~Q(state="waiting"),
            ),
            models.Index(
                fields=["webhook", "lead_id", "id"],
                name="delivery_ended_of_lead",
                condition=~Q(state="waiting"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} to webhook {self.webhook_id}: {self.state}"
