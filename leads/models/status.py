"""The pipeline's stages."""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext

from calliyo.errors import DomainError
from leads.models.base import Resource
from leads.models.locking import Row


class StatusRole(models.TextChoices):
    """What a stage means to the rules, whatever its name: rules go by role."""

    UNASSIGNED = "unassigned"
    ASSIGNED = "assigned"
    FOLLOWUPS = "followups"
    CUSTOMER = "customer"
    NONE = ""


# The protected stages keep their names for ever.
PROTECTED_NAMES = {
    StatusRole.UNASSIGNED: "Unassigned",
    StatusRole.FOLLOWUPS: "Followups",
    StatusRole.CUSTOMER: "Customer",
}
FRESH_STATUSES = (
    ("Unassigned", StatusRole.UNASSIGNED),
    ("Assigned", StatusRole.ASSIGNED),
    ("Followups", StatusRole.FOLLOWUPS),
    ("Interested", StatusRole.NONE),
    ("Not Interested", StatusRole.NONE),
    ("Busy", StatusRole.NONE),
    ("Not Picked", StatusRole.NONE),
    ("Missed", StatusRole.NONE),
    ("Wrong Number", StatusRole.NONE),
    ("Customer", StatusRole.CUSTOMER),
)


class StatusProtected(DomainError):
    code = "status_protected"


class LeadStatus(Resource):
    """A stage of the pipeline; a lead is always in exactly one."""

    name = models.CharField(max_length=100)
    position = models.PositiveIntegerField(default=0)
    role = models.CharField(max_length=10, choices=StatusRole.choices, blank=True, default="", editable=False)

    path = "lead-statuses"

    class Meta(Resource.Meta):
        ordering = ["position", "id"]
        verbose_name_plural = "lead statuses"
        constraints = [
            models.UniqueConstraint(Lower("name"), name="lead_status_name_unique"),
            models.UniqueConstraint(fields=["role"], condition=~Q(role=""), name="lead_status_role_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="lead_status_has_name"),
            models.CheckConstraint(
                condition=Q(role__in=[StatusRole.NONE, StatusRole.ASSIGNED])
                | Q(role=StatusRole.UNASSIGNED, name="Unassigned")
                | Q(role=StatusRole.FOLLOWUPS, name="Followups")
                | Q(role=StatusRole.CUSTOMER, name="Customer"),
                name="lead_status_protected_keeps_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def protected(self) -> bool:
        """Whether it can be neither renamed nor deleted."""
        return self.role in PROTECTED_NAMES

    @classmethod
    def refuse_delete(cls, rows: dict[int, Row]) -> None:
        protected = [row["name"] for row in rows.values() if row["role"] in PROTECTED_NAMES]
        if protected:
            raise StatusProtected(
                gettext("The status %(name)s is protected: it can't be deleted.") % {"name": protected[0]},
                field="name",
            )


def seed_statuses(model: type[models.Model], *, stamps: dict[str, Any]) -> None:
    """Writes the ten stages of a fresh company; `stamps` are what the model's migration state does not fill in."""
    rows: Iterable[models.Model] = [
        model(name=name, role=role, position=position, **stamps)
        for position, (name, role) in enumerate(FRESH_STATUSES, start=1)
    ]
    model._default_manager.bulk_create(rows)
