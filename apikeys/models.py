"""Who may call from outside, what was changed about it by whom, what was called, and the answers kept for repeats."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from apikeys.scopes import Access
from calliyo.fields import ActorTypeField, MomentField


class APIKey(models.Model):
    """One outside system's access. Of its token only the digest and the first 13 characters are kept."""

    name = models.CharField(max_length=100)
    digest = models.CharField("SHA-256 of the token", max_length=64, editable=False)
    prefix = models.CharField("first characters of the token", max_length=13, editable=False)
    scopes = models.JSONField(default=list, blank=True)
    active = models.BooleanField(default=True)
    expires_at = MomentField(null=True, blank=True)
    allowed_addresses = models.JSONField("allowed networks (CIDR)", default=list, blank=True)
    allowed_origins = models.JSONField(default=list, blank=True)
    rate_limit = models.PositiveIntegerField(
        "requests a minute", null=True, blank=True, help_text="empty: 600; 0: none"
    )
    manage_webhooks = models.BooleanField("may manage its own webhooks", default=False)
    created_by_type = ActorTypeField(editable=False)
    created_by_id = models.BigIntegerField(null=True, editable=False)
    created_by_name = models.CharField(max_length=200, blank=True, editable=False)
    last_used_at = MomentField(null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = MomentField(db_default=Now(), editable=False)
    updated_at = MomentField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="api_key_digest_unique"),
            models.UniqueConstraint(Lower("name"), name="api_key_name_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="api_key_has_name"),
            models.CheckConstraint(condition=Q(prefix__startswith="cly_live_"), name="api_key_prefix_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def expired(self, now: datetime) -> bool:
        """Whether the key's time is over."""
        return self.expires_at is not None and self.expires_at <= now


class AuditEntry(models.Model):
    """Who created, changed, regenerated or deleted what, and when. Plain values: it outlives its subjects."""

    at = MomentField(db_default=Now())
    actor_type = ActorTypeField()
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    api_key_id = models.BigIntegerField()
    api_key_name = models.CharField(max_length=100)
    action = models.CharField(max_length=40)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["api_key_id", "id"], name="audit_by_api_key")]

    def __str__(self) -> str:
        return f"{self.action} {self.api_key_name}"


class CallResult(models.TextChoices):
    """What came of a call, by its HTTP status."""

    OK = "ok", "OK"  # 2xx and 3xx
    REFUSED = "refused"  # 401, 403, 429: this key, here, now
    INVALID = "invalid"  # every other 4xx
    FAILED = "failed"  # 5xx


class KeyUsage(models.Model):
    """How many calls a key made on one day, where the company is, of one resource and with one result.

    It outlives its key, and is kept for `apikeys.retention.USAGE_KEPT`.
    """

    api_key_id = models.BigIntegerField()
    day = models.DateField()
    resource = models.CharField("first part of the path below /public", max_length=20)
    access = models.CharField(max_length=5, choices=[(access.value, access.value) for access in Access])
    result = models.CharField(max_length=7, choices=CallResult.choices)
    calls = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "usage"
        ordering = ["-day", "api_key_id", "resource", "access", "result"]
        constraints = [
            models.UniqueConstraint(
                fields=["api_key_id", "day", "resource", "access", "result"], name="key_usage_once"
            ),
            models.CheckConstraint(condition=Q(result__in=CallResult.values), name="key_usage_result_known"),
        ]
        indexes = [models.Index(fields=["day"], name="key_usage_by_day")]

    def __str__(self) -> str:
        return f"{self.day} key {self.api_key_id}: {self.calls} {self.access} {self.resource} {self.result}"


class RecentCalls(models.Model):
    """How many calls a key made in a quarter of an hour, kept for two days: for what is asked of the last hours."""

    api_key_id = models.BigIntegerField()
    quarter = models.BigIntegerField("quarters of an hour since 1970")
    calls = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "recent calls"
        constraints = [models.UniqueConstraint(fields=["api_key_id", "quarter"], name="recent_calls_once")]
        indexes = [models.Index(fields=["quarter"], name="recent_calls_by_quarter")]

    def __str__(self) -> str:
        return f"{self.quarter} key {self.api_key_id}: {self.calls}"


class RefusedCall(models.Model):
    """One of the last calls of a key that were not served; the address without its query, which may hold secrets."""

    api_key_id = models.BigIntegerField()
    at = MomentField()
    method = models.CharField(max_length=16)
    path = models.CharField(max_length=200)
    status = models.PositiveSmallIntegerField("HTTP status")
    code = models.CharField(max_length=60)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=128)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["api_key_id", "id"], name="refused_call_by_api_key"),
            models.Index(fields=["at"], name="refused_call_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status} {self.code}"


class IdempotencyRecord(models.Model):
    """The first answer to a POST with an `Idempotency-Key`, kept for 24 hours; while it runs, its lease."""

    api_key_id = models.BigIntegerField()
    method = models.CharField(max_length=7)
    path = models.CharField(max_length=500)
    key = models.CharField("header value", max_length=255)
    request_hash = models.CharField("SHA-256 of query and body", max_length=64)
    read_scope = models.CharField("scope that the answer needs", max_length=40, blank=True)
    leased_until = MomentField()
    status = models.PositiveSmallIntegerField("HTTP status", null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    body = models.BinaryField(null=True, blank=True)
    sealed = models.BooleanField(
        "body is encrypted", default=False, db_default=False, help_text="it may hold a secret"
    )
    created_at = MomentField(db_default=Now())
    finished_at = MomentField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["api_key_id", "method", "path", "key"], name="idempotency_key_once"
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(status__isnull=False),
                name="idempotency_finished_has_answer",
            ),
            models.CheckConstraint(
                condition=Q(leased_until__gte=F("created_at")), name="idempotency_lease_after_start"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_by_age")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
