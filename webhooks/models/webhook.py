"""Who is told: what people configure."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apikeys.models import APIKey
from calliyo.fields import ActorTypeField, MomentField


class Ordering(models.TextChoices):
    PER_LEAD = "per_lead"
    STRICT = "strict"
    NONE = "none"


class OffReason(models.TextChoices):
    BY_HAND = "by_hand"
    GONE = "gone"
    FAILING = "failing"


class Webhook(models.Model):
    """A subscription: some of a key's events go to one URL."""

    api_key = models.ForeignKey(APIKey, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField("URL", max_length=2000)
    events = models.JSONField(default=list)
    secret = models.TextField(blank=True, editable=False, help_text="encrypted")
    previous_secrets = models.JSONField(
        default=list,
        editable=False,
        help_text="those that sign too, the newest first: secret (encrypted), until",
    )
    previous_secret_until = MomentField(
        null=True, blank=True, editable=False, help_text="when the last of them ends"
    )
    headers = models.TextField(blank=True, editable=False, help_text="JSON object, encrypted")
    ordering = models.CharField(max_length=8, choices=Ordering.choices, default=Ordering.PER_LEAD)
    skip_own = models.BooleanField("skip the changes that its own key made", default=False)
    rate_limit = models.PositiveIntegerField("deliveries a minute", null=True, blank=True)
    active = models.BooleanField(default=True)
    off_reason = models.CharField(max_length=7, choices=OffReason.choices, blank=True)
    off_at = MomentField(null=True, blank=True)
    off_since = models.BigIntegerField(
        "position of the last event before it was turned off", null=True, blank=True
    )
    on_since = models.BigIntegerField(
        "position of the last event before it was turned on again", null=True, blank=True, editable=False
    )
    created_by_type = ActorTypeField(editable=False)
    created_by_id = models.BigIntegerField(null=True, editable=False)
    created_by_name = models.CharField(max_length=200, blank=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = MomentField(db_default=Now(), editable=False)
    updated_at = MomentField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(url=""), name="webhook_has_url"),
            models.CheckConstraint(condition=Q(ordering__in=Ordering.values), name="webhook_ordering_known"),
            models.CheckConstraint(
                condition=Q(active=True, off_reason="") | Q(active=False, off_reason__in=OffReason.values),
                name="webhook_off_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.url
