"""Numbers that are kept instead of counted."""

from django.db import models

from calliyo.fields import MomentField
from webhooks.models.webhook import Webhook


class AttemptOutcome(models.TextChoices):
    DELIVERED = "delivered"
    FAILED = "failed"
    GAVE_UP = "gave_up"
    """Said beside `failed`: there is no further attempt."""


class QuarterHour(models.Model):
    """What came of a webhook's attempts in fifteen minutes: written and read by `webhooks.last_day`.

    `band` says how long they took: an exponent, so that a few rows hold any number of attempts.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="quarters", db_constraint=False, db_index=False
    )
    begins_at = MomentField(db_index=True)
    outcome = models.CharField(max_length=9, choices=AttemptOutcome.choices)
    band = models.PositiveSmallIntegerField()
    attempts = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "begins_at", "outcome", "band"], name="quarter_hour_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.attempts} {self.outcome} to webhook {self.webhook_id} from {self.begins_at}"


class Tally(models.Model):
    """A number that only grows: what all workers have counted (`webhooks.tallies`)."""

    name = models.CharField(max_length=40)
    label = models.CharField(max_length=40, blank=True)
    value = models.FloatField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["name", "label"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.label}: {self.value:g}"
