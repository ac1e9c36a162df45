"""Leads become customers, and leads again."""

from decimal import Decimal

import pytest

from leads.models import Customer, Deletion, Lead, StatusRole
from leads.operations.conversion import OrderFacts, convert_leads, unconvert_leads, write_order
from leads.operations.errors import InvalidOrder
from tests.leads.factories import CustomerFactory, LeadFactory, status_named, status_of

pytestmark = pytest.mark.django_db
ORDER = OrderFacts(amount=Decimal("1499.00"), currency="INR", plan="Yearly", payment_status="paid")


def test_converting_is_a_status_change_with_order_facts() -> None:
    lead = LeadFactory(status=status_named("Interested"))
    assert convert_leads(leads=Lead.objects.filter(status__name="Interested"), order=ORDER) == 1
    customer = Customer.objects.get()
    assert (customer.pk, customer.amount, customer.currency) == (lead.pk, Decimal("1499.00"), "INR")
    assert (customer.plan, customer.payment_status) == ("Yearly", "paid")
    assert customer.converted_at is not None


def test_un_converting_keeps_the_order_facts_and_tells_those_who_sync() -> None:
    customer = CustomerFactory()
    assert unconvert_leads(customers=Lead.objects.all(), to=status_named("Interested")) == 1
    assert not Customer.objects.exists()
    lead = Lead.objects.get()
    assert (lead.converted_at, lead.plan, lead.status.name) == (None, "Yearly", "Interested")
    assert Deletion.objects.get(resource="customers").object_id == customer.pk


def test_leads_that_are_no_customers_are_not_un_converted() -> None:
    LeadFactory()
    assert unconvert_leads(customers=Lead.objects.all(), to=status_named("Interested")) == 0
    with pytest.raises(InvalidOrder):
        unconvert_leads(customers=Lead.objects.all(), to=status_of(StatusRole.CUSTOMER))


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"amount": Decimal(-1), "currency": "INR"}, "amount"),
        ({"amount": Decimal("NaN"), "currency": "INR"}, "amount"),
        ({"amount": Decimal("1.2345"), "currency": "INR"}, "amount"),
        ({"amount": Decimal(10) ** 12, "currency": "INR"}, "amount"),
        ({"amount": Decimal(1)}, "currency"),
        ({"currency": "rupees"}, "currency"),
        ({"payment_status": "maybe"}, "payment_status"),
    ],
)
def test_order_facts_that_are_none_are_refused(facts: dict[str, object], field: str) -> None:
    lead = LeadFactory()
    with pytest.raises(InvalidOrder) as refused:
        convert_leads(leads=Lead.objects.all(), order=OrderFacts(**facts))
    assert refused.value.field == field
    lead.refresh_from_db()
    assert lead.converted_at is None and lead.version == 1


def test_order_facts_are_replaced() -> None:
    customer = CustomerFactory()
    write_order(customers=[customer.pk], order=OrderFacts(amount=Decimal("10.125"), currency="KWD"))
    customer.refresh_from_db()
    assert (customer.amount, customer.currency, customer.plan) == (Decimal("10.125"), "KWD", "")
