"""`/public/customers`: the leads whose status is Customer, with their order facts."""

from typing import Any

from django.db.models import QuerySet

from apikeys.scopes import Resource
from calliyo.api.filters import MomentFilter, WordFilter
from leads.api.base import CRMViewSet, external_id_for, tag_names
from leads.api.filters import LeadFilters
from leads.models import Customer, LeadStatus, PaymentStatus, StatusRole
from leads.pictures import CUSTOMER_COLUMNS, Picture, customer_picture, in_order


class CustomerFilters(LeadFilters):
    converted_after = MomentFilter("converted_at", "gte")
    converted_before = MomentFilter("converted_at", "lt")
    payment_status = WordFilter("payment_status", words=PaymentStatus.values)


class CustomerViewSet(CRMViewSet):
    resource = Resource.CUSTOMERS
    model = Customer
    columns = CUSTOMER_COLUMNS
    filters = CustomerFilters
    orderings = ("id", "created_at", "updated_at", "converted_at")

    def rows(self) -> "QuerySet[Any, Any]":
        """As `Customer.objects`, but by the status's id: so that one index finds and orders them."""
        customer = LeadStatus.rows.filter(role=StatusRole.CUSTOMER).values("pk")[:1]
        found: QuerySet[Any, Any] = Customer.rows.filter(status=customer)
        return found

    def columns_read(self) -> tuple[Any, ...]:
        return (*self.columns, tag_names(), external_id_for(self.caller.key.pk))

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [
            customer_picture(tuple(row), tags=in_order(tags), external_id=external_id)
            for *row, tags, external_id in rows
        ]
