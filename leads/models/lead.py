"""Leads: the people whom the team calls."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import BaseExpression, Case, Value, When
from django.db.models.functions import Coalesce, Upper
from django.db.models.lookups import Exact

from calliyo.fields import MomentField
from calliyo.indexes import WordsIndex
from calliyo.unit_of_work import UnitOfWork
from leads.models.base import Resource
from leads.models.campaign import Campaign
from leads.models.deletion import Deletion
from leads.models.links import LinkField
from leads.models.locking import SEEN_VERSION, Row
from leads.models.status import LeadStatus, StatusRole
from leads.models.tag import LeadTag, Tag
from leads.models.user import User
from leads.signals import tags_changing


class PaymentStatus(models.TextChoices):
    PENDING = "pending"
    PARTIAL = "partial"
    PAID = "paid"
    REFUNDED = "refunded"


class Lead(Resource):
    """Somebody to call, in exactly one status. The order facts are shown of customers only, and kept for ever."""

    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100, blank=True)
    phone = models.CharField(max_length=16, help_text="in any spelling; stored as E.164")
    email = models.EmailField(blank=True)
    status = models.ForeignKey(LeadStatus, on_delete=models.PROTECT, related_name="leads", db_index=False)
    owner = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="leads", db_index=False
    )
    campaign = models.ForeignKey(
        Campaign, on_delete=models.SET_NULL, null=True, blank=True, related_name="leads", db_index=False
    )
    source = models.CharField(max_length=100, blank=True)
    tags = LinkField(Tag, through=LeadTag, related_name="leads", blank=True)
    created_by_key_id = models.BigIntegerField(null=True, blank=True, editable=False)
    converted_at = MomentField(null=True, blank=True, editable=False)

    amount = models.DecimalField(max_digits=14, decimal_places=3, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, help_text="ISO 4217, such as INR")
    plan = models.CharField(max_length=100, blank=True)
    payment_status = models.CharField(max_length=8, choices=PaymentStatus.choices, blank=True)

    path = "leads"
    stamp_fields = (*Resource.stamp_fields, "converted_at")

    # Read along with the lock, so that a save needs no look of its own at them.
    locked_extras: ClassVar[dict[str, str]] = {
        "tags": "ARRAY(SELECT t.name FROM leads_leadtag lt JOIN leads_tag t ON t.id = lt.tag_id"
        " WHERE lt.lead_id = locked.id)",
        "status__name": "(SELECT s.name FROM leads_leadstatus s WHERE s.id = locked.status_id)",
        SEEN_VERSION: "(SELECT seen.version FROM leads_lead seen WHERE seen.id = locked.id)",
    }

    class Meta(Resource.Meta):
        constraints = [
            models.UniqueConstraint(fields=["phone"], name="lead_phone_unique"),
            models.CheckConstraint(condition=Q(phone__startswith="+"), name="lead_phone_is_e164"),
            models.CheckConstraint(condition=~Q(first_name=""), name="lead_has_first_name"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="lead_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(payment_status="") | Q(payment_status__in=PaymentStatus.values),
                name="lead_payment_status_known",
            ),
        ]
        indexes = [
            models.Index(fields=["updated_at", "id"], name="lead_by_updated_at"),
            models.Index(fields=["created_at", "id"], name="lead_by_created_at"),
            models.Index(fields=["status", "id"], name="lead_by_status"),
            models.Index(fields=["owner", "id"], name="lead_by_owner"),
            models.Index(fields=["campaign", "id"], name="lead_by_campaign"),
            models.Index(Upper("email"), "id", name="lead_by_email"),  # asked for without regard to case
            models.Index(fields=["source", "id"], name="lead_by_source"),
            models.Index(
                fields=["converted_at", "id"],
                name="lead_by_converted_at",
                condition=Q(converted_at__isnull=False),
            ),
            # Few leads have order facts, so these cost the others nothing.
            *(
                models.Index(fields=[fact, "id"], name=f"lead_by_{fact}", condition=~Q(**{fact: ""}))
                for fact in ("plan", "payment_status", "currency")
            ),
            WordsIndex(fields=["first_name", "last_name", "email"], name="lead_by_words"),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @classmethod
    def announce_shown(cls, unit: UnitOfWork, rows: dict[int, Row]) -> None:
        tags_changing.send(sender=cls, unit=unit, pks=rows.keys())

    # ── when the lead became a customer: kept by every way of writing ───────────────────────────────────
    def prepare_write(self, before: Row | None, unit: UnitOfWork, update_fields: set[str] | None) -> None:
        writes_status = update_fields is None or bool(update_fields & {"status", "status_id"})
        if before is None or (
            writes_status and "status_id" in self.__dict__ and self.status_id != before["status_id"]
        ):
            is_customer = self._gets_customer(unit)
            was = self.converted_at if before is None else before["converted_at"]
            self.converted_at = (was or unit.stamp()) if is_customer else None
            if update_fields is not None:
                update_fields.add("converted_at")
        elif "converted_at" in self.__dict__:
            self.converted_at = before["converted_at"]
        super().prepare_write(before, unit, update_fields)

    def written_row(self, before: Row | None, names: set[str] | None) -> Row | None:
        """With the status's name, where it is known."""
        row = super().written_row(before, names)
        if row is None:
            return None
        if before is None or before["status_id"] != row["status_id"]:
            row.pop("status__name", None)
            loaded = self._state.fields_cache.get("status")
            if loaded is not None and loaded.pk == row["status_id"]:
                row["status__name"] = loaded.name
        return row

    def _gets_customer(self, unit: UnitOfWork) -> bool:
        loaded = self._state.fields_cache.get("status")
        if loaded is not None and loaded.pk == self.status_id:
            return bool(loaded.role == StatusRole.CUSTOMER)
        return self.status_id == customer_status_id(unit)

    @classmethod
    def stamps_of_update(cls, values: dict[str, Any], unit: UnitOfWork) -> dict[str, Any]:
        stamps = super().stamps_of_update(values, unit)
        if "status" in values:
            stamps["converted_at"] = _converted_at(values["status"], customer_status_id(unit), unit.stamp())
        else:
            stamps["converted_at"] = F("converted_at")
        return stamps

    @classmethod
    def after_update(cls, unit: UnitOfWork, rows: dict[int, Row], fields: Collection[str]) -> None:
        """Notes who ceased to be a customer, for those who sync customers."""
        customers = [pk for pk, row in rows.items() if row["converted_at"] is not None]
        if customers and not {"status", "status_id"}.isdisjoint(fields):
            left = cls.rows.filter(pk__in=customers, converted_at=None).values_list("pk", flat=True)
            Deletion.note("customers", left, unit.stamp())


def customer_status_id(unit: UnitOfWork) -> int | None:
    """The status whose leads are customers, looked up once in a unit of work."""
    if customer_status_id not in unit.notes:
        found = LeadStatus.rows.filter(role=StatusRole.CUSTOMER).values_list("pk", flat=True)
        unit.notes[customer_status_id] = found.first()
    known: int | None = unit.notes[customer_status_id]
    return known


def _converted_at(status: Any, customer: int | None, stamp: datetime) -> Any:
    kept = Coalesce(F("converted_at"), Value(stamp, output_field=MomentField()))
    if isinstance(status, BaseExpression | F):
        return Case(When(Exact(status, Value(customer)), then=kept), default=None, output_field=MomentField())
    return kept if getattr(status, "pk", status) == customer else None
