"""Customers: the leads whose status is Customer, with their order facts."""

from typing import Any, ClassVar

from leads.models.base import WrittenManager, WrittenQuerySet
from leads.models.lead import Lead
from leads.models.status import StatusRole


class CustomerManager(WrittenManager):
    """Those who are customers now: the status alone tells."""

    def get_queryset(self) -> WrittenQuerySet[Any]:
        customers: WrittenQuerySet[Any] = super().get_queryset().filter(status__role=StatusRole.CUSTOMER)
        return customers


class Customer(Lead):
    """A lead that was converted: the same row, so the same id and version."""

    objects: ClassVar[CustomerManager] = CustomerManager()

    class Meta:
        proxy = True
