"""Leads become customers and, when the status moves back, leads again; what customers ordered."""

import re
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet
from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, LeadStatus, PaymentStatus, StatusRole
from leads.models.locking import chunks
from leads.operations.errors import InvalidOrder
from leads.operations.statuses import change_status

_CURRENCY = re.compile(r"[A-Z]{3}")
MAX_AMOUNT = Decimal("99999999999.999")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What a customer ordered: amount in major units with up to 3 places, ISO 4217 currency, plan, payment."""

    amount: Decimal | None = None
    currency: str = ""
    plan: str = ""
    payment_status: str = ""


@unit_of_work
def convert_leads(*, leads: QuerySet[Lead], order: OrderFacts | None = None) -> int:
    """Moves the leads to Customer and says how many were none; with `order`, writes it on all of them."""
    pks = list(leads.order_by().values_list("pk", flat=True))
    converted = change_status(
        leads=Lead.rows.filter(pk__in=leads.order_by().values("pk")), to=customer_status()
    )
    if order is not None:
        write_order(customers=pks, order=order)
    return converted


@unit_of_work
def unconvert_leads(*, customers: QuerySet[Lead], to: LeadStatus) -> int:
    """Moves customers back into the pipeline: they leave Customers, and their order facts are kept.

    Raises LeadCapReached when their owners may not hold so many.
    """
    if to.role == StatusRole.CUSTOMER:
        raise InvalidOrder(
            gettext("Choose the status that they go back to, other than Customer."), field="status"
        )
    return change_status(leads=customers.filter(status__role=StatusRole.CUSTOMER), to=to)


@unit_of_work
def write_order(*, customers: list[int], order: OrderFacts) -> None:
    """Writes what these customers ordered; raises InvalidOrder for facts that are none."""
    _refuse_impossible(order)
    for keys in chunks(customers):
        Lead.rows.filter(pk__in=keys).update(
            amount=order.amount,
            currency=order.currency,
            plan=order.plan.strip(),
            payment_status=order.payment_status,
        )


def customer_status() -> LeadStatus:
    """The status whose leads are customers; it is protected, so it is there."""
    status: LeadStatus = LeadStatus.rows.get(role=StatusRole.CUSTOMER)
    return status


def _refuse_impossible(order: OrderFacts) -> None:
    if order.amount is not None:
        exponent = order.amount.as_tuple().exponent
        if not order.amount.is_finite() or not 0 <= order.amount <= MAX_AMOUNT:
            raise InvalidOrder(gettext("An amount is zero or more."), field="amount")
        if isinstance(exponent, int) and exponent < -3:
            raise InvalidOrder(gettext("An amount has at most 3 decimal places."), field="amount")
        if not order.currency:
            raise InvalidOrder(gettext("An amount needs its currency."), field="currency")
    if order.currency and not _CURRENCY.fullmatch(order.currency):
        raise InvalidOrder(gettext("A currency is three capital letters, such as INR."), field="currency")
    if order.payment_status and order.payment_status not in PaymentStatus.values:
        raise InvalidOrder(
            gettext("%(word)r is no payment status.") % {"word": order.payment_status}, field="payment_status"
        )
