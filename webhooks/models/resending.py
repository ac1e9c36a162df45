"""What is to be sent again."""

from django.db import models

from calliyo.fields import MomentField
from webhooks.models.webhook import Webhook


class ResendCause(models.TextChoices):
    """Which events are to be sent again: `webhooks.replay` says what each word means."""

    FAILED = "failed"
    MISSED = "missed"
    SINCE = "since"


class ResendOrder(models.Model):
    """Somebody's wish to send events again, where they are too many for one request: `webhooks.resending`.

    Kept until all is queued, so that a process that dies only delays it: `after` goes on with each batch.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="resend_orders", db_constraint=False
    )
    what = models.CharField(
        max_length=6,
        choices=ResendCause.choices,
        default=ResendCause.FAILED,
        db_default=ResendCause.FAILED,
    )
    since = MomentField(null=True, help_text="what failed, or happened, at this moment or later")
    up_to = models.BigIntegerField(
        "the last delivery (of what failed) or position (of the log) that was there when it was ordered"
    )
    after = models.BigIntegerField("position of the last event that it has queued", default=0, db_default=0)
    events = models.PositiveBigIntegerField("how many were to be sent again")
    queued = models.PositiveBigIntegerField(default=0)
    ordered_at = MomentField()
    worked_on_until = MomentField(null=True)

    def __str__(self) -> str:
        return f"{self.queued} of {self.events} to webhook {self.webhook_id}"
