"""Customers: the leads whose status is Customer, with their order facts."""

from typing import Any, ClassVar

from leads.models.base import WrittenManager, WrittenQuerySet
from leads.models.lead import Lead
from leads.models.status import StatusRole


class CustomerManager(WrittenManager):
    """Those who are customers now: the status alone tells."""

    def get_queryset(self) -> WrittenQuerySet[Any]:
        # The second half is true of every customer, and lets the partial index on it serve.
        customers: WrittenQuerySet[Any] = (
            super().get_queryset().filter(status__role=StatusRole.CUSTOMER, converted_at__isnull=False)
        )
        return customers


class Customer(Lead):
    """A lead that was converted: the same row, so the same id and version."""

    objects: ClassVar[CustomerManager] = CustomerManager()

    class Meta:
        proxy = True
