"""What the engine knows of an endpoint."""

from django.db import models

from calliyo.fields import MomentField
from webhooks.delivery.health import Health
from webhooks.models.webhook import Webhook


class EndpointState(models.Model):
    """What the engine knows of a webhook's endpoint, and which worker serves it now.

    Whoever holds the lease numbers and sends; `lease_number` grows with each new holder, and a result counts only
    under the number that it was sent under.
    """

    webhook = models.OneToOneField(
        Webhook, on_delete=models.CASCADE, primary_key=True, related_name="state", db_constraint=False
    )
    lease_number = models.BigIntegerField(default=0)
    lease_holder = models.CharField(max_length=100, blank=True)
    taken_from = models.CharField(
        max_length=100,
        blank=True,
        db_default="",
        help_text="the holder before, where it let the lease run out",
    )
    leased_until = MomentField(null=True)
    asked_for = models.BooleanField(
        default=False, db_default=False, help_text="another worker has nothing to do, and would serve it"
    )
    last_sequence = models.BigIntegerField(default=0)
    health = models.CharField(
        max_length=7,
        choices=[(health.value, health.name.capitalize()) for health in Health],
        default=Health.HEALTHY.value,
    )
    failures_in_a_row = models.PositiveIntegerField(default=0)
    failing_since = MomentField(null=True)
    last_success_at = MomentField(null=True)
    held_until = MomentField(null=True, help_text="no attempt before: Retry-After; only ever later")
    paused_until = MomentField(null=True, help_text="no attempt before: a pause of ours, or the next probe")
    slowdowns = models.PositiveIntegerField(default=0)
    down_since = MomentField(null=True)
    probes = models.PositiveIntegerField("failed probes since it is down", default=0)
    probed_sequence = models.BigIntegerField("sequence of the latest probe", null=True)
    paced_until = MomentField(null=True, help_text="when the rate limit lets the next attempt begin")
    notice_due_at = MomentField(null=True, help_text="when staff are to be told that it is off")

    class Meta:
        indexes = [models.Index(fields=["leased_until"], name="endpoint_by_lease")]

    def __str__(self) -> str:
        return f"{self.webhook_id}: {self.health}"
