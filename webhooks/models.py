"""What happened (Event), who is told (Webhook), and how the telling went (Delivery, Attempt).

A Webhook holds what people configure; EndpointState holds what the engine knows of it and writes all the time, so that
the one's version stays still and neither's lock is waited for. A Delivery refers to both sides without a database
constraint: an insert never waits for an endpoint, and a deleted webhook's rows go in batches.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apikeys.models import APIKey
from calliyo.fields import ActorTypeField, MomentField
from webhooks.delivery.health import Health as Health  # noqa: PLC0414  # the models' own word, for all who ask them


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
                condition=~Q(state=DeliveryState.WAITING) | Q(next_attempt_at__isnull=False),
                name="delivery_waiting_has_next_attempt",
            ),
        ]
        indexes = [
            # The hot path: only what waits is in these, whatever lies behind it.
            models.Index(
                fields=["webhook", "next_attempt_at", "id"], name="delivery_due", condition=Q(state="waiting")
            ),
            models.Index(
                fields=["webhook", "lead_id", "id"], name="delivery_per_lead", condition=Q(state="waiting")
            ),
            models.Index(
                fields=["webhook", "event"],
                name="delivery_unnumbered",
                condition=Q(state="waiting", sequence=None),
            ),
            # The oldest first: strict order, probes, and how long the oldest has waited.
            models.Index(
                fields=["webhook", "sequence", "id"],
                name="delivery_in_sequence",
                condition=Q(state="waiting"),
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
