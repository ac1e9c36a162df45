"""The baseline's tables."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import connection, models


class PlainDelivery(models.Model):
    """One event for one URL."""

    url = models.CharField(max_length=2000)
    secret = models.CharField(max_length=255)
    event_type = models.CharField(max_length=40)
    message_id = models.CharField(max_length=40)
    payload = models.TextField()
    status = models.CharField(max_length=9, default="waiting", db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return f"{self.event_type} to {self.url}"


class PlainLog(models.Model):
    """One attempt."""

    delivery = models.ForeignKey(PlainDelivery, on_delete=models.CASCADE)
    request_headers = models.JSONField()
    status = models.IntegerField(null=True)
    response_body = models.TextField(blank=True)
    milliseconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return f"{self.status} after {self.milliseconds:.0f} ms"


class PlainToken(models.Model):
    """As `rest_framework.authtoken` has it."""

    key = models.CharField(max_length=100, primary_key=True)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return self.key[:9]


def make_tables() -> None:
    with connection.schema_editor() as editor:
        for model in (PlainDelivery, PlainLog, PlainToken):
            editor.create_model(model)
