"""`/public/customers`: the leads whose status is Customer, with their order facts."""

from typing import Any

from django.db.models import QuerySet

from apikeys.scopes import Resource
from calliyo.api.filters import TextFilter, WordFilter
from leads.api.base import CRMViewSet, own_external_id, tag_names, with_spelled_times
from leads.api.campaigns import CampaignViewSet
from leads.api.filters import LeadFilters
from leads.api.shapes import CustomerShape
from leads.api.users import UserViewSet
from leads.models import Customer, LeadStatus, PaymentStatus, StatusRole
from leads.pictures import CUSTOMER_COLUMNS, Picture, customer_picture


class CustomerFilters(LeadFilters):
    payment_status = WordFilter("payment_status", words=PaymentStatus.values)
    plan = TextFilter("plan")
    currency = TextFilter("currency")


class CustomerViewSet(CRMViewSet):
    resource = Resource.CUSTOMERS
    model = Customer
    columns = CUSTOMER_COLUMNS
    shape = CustomerShape
    filters = CustomerFilters
    orderings = ("id", "created_at", "updated_at", "converted_at")

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"owner": UserViewSet, "campaign": CampaignViewSet}

    @classmethod
    def rows(cls) -> "QuerySet[Any, Any]":
        """As `Customer.objects`, but by the status's id: so that one index finds and orders them.

        Every customer has a time of conversion; that it is said lets its index serve.
        """
        customer = LeadStatus.rows.filter(role=StatusRole.CUSTOMER).values("pk")[:1]
        found: QuerySet[Any, Any] = Customer.rows.filter(status=customer, converted_at__isnull=False)
        return found

    @classmethod
    def columns_read(cls) -> tuple[Any, ...]:
        return (*with_spelled_times(cls.columns), tag_names(), own_external_id())

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [customer_picture(row[:-2], tags=row[-2], external_id=row[-1]) for row in rows]
