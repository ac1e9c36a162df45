"""One request and its answer."""

from django.db import models
from django.db.models import Q

from calliyo.fields import MomentField
from webhooks.models.delivery import Delivery


class Attempt(models.Model):
    """One request and what came of it: headers as sent, answer, times in milliseconds, the error in plain words."""

    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="log", db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    probe = models.BooleanField(
        db_default=False, default=False, help_text="made while the endpoint was down: it does not count"
    )
    started_at = MomentField()
    address = models.GenericIPAddressField(null=True)
    request_headers = models.JSONField(default=dict)
    status = models.PositiveSmallIntegerField("HTTP status", null=True)
    response_headers = models.JSONField(default=dict)
    response_body = models.TextField(blank=True, help_text="its first 2 kB")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=500, blank=True)
    dns_ms = models.FloatField(null=True)
    connect_ms = models.FloatField(null=True)
    tls_ms = models.FloatField(null=True)
    first_byte_ms = models.FloatField(null=True)
    total_ms = models.FloatField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(number__gte=1), name="attempt_numbered_from_one"),
            models.CheckConstraint(condition=Q(total_ms__gte=0), name="attempt_takes_time"),
        ]
        indexes = [models.Index(fields=["delivery", "number"], name="attempt_by_delivery")]

    def __str__(self) -> str:
        return f"attempt {self.number} of delivery {self.delivery_id}"
