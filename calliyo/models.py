"""The company that uses this Calliyo (one row, what Settings → General holds), and the forms that are used up."""

from typing import Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from calliyo.fields import MomentField


class Company(models.Model):
    """Name, country, time zone and retention. The environment gives the first values; the row wins from then on."""

    ONLY_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ID, editable=False)
    name = models.CharField(max_length=200, default="My company")
    country = models.CharField(
        "default country of phone numbers", max_length=2, help_text="ISO code, such as IN"
    )
    time_zone = models.CharField(max_length=64, help_text="such as Asia/Kolkata")
    retention_days = models.PositiveIntegerField(
        "days that events and deliveries are kept", default=30, validators=[MinValueValidator(1)]
    )

    class Meta:
        verbose_name_plural = "company"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="company_is_one_row"),
            models.CheckConstraint(
                condition=models.Q(retention_days__gte=1), name="company_keeps_a_day_at_least"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone, where its days begin and end."""
        return ZoneInfo(self.time_zone)

    @classmethod
    def current(cls) -> Self:
        """The one row, made from the environment's values when it is not there yet."""
        company, _ = cls.objects.get_or_create(
            id=cls.ONLY_ID,
            defaults={"country": settings.CALLIYO_DEFAULT_REGION, "time_zone": settings.TIME_ZONE},
        )
        return company


class SpentFormNumber(models.Model):
    """A single-use number of a form that minted something: a second post with it finds this row."""

    number = models.CharField(max_length=32, primary_key=True)
    spent_at = MomentField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return self.number
