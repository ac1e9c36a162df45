"""Customers: the leads that were converted, with what they ordered."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from typing_extensions import override

from leads.admin.forms import BackForm
from leads.admin.lead import LeadAdmin, lead_changes
from leads.admin.questions import Question, counted
from leads.models import Customer, Lead
from leads.operations.conversion import OrderFacts, unconvert_leads, write_order
from leads.operations.intake import update_lead

ORDER_FIELDS = ("amount", "currency", "plan", "payment_status")


def _unconvert(customers: QuerySet[Lead], answers: dict[str, Any]) -> str:
    to = answers["status"]
    done = unconvert_leads(customers=customers, to=to)
    return f"{counted(done, 'customer', 'customers')} moved back to {to}."


UNCONVERT = Question(
    action="unconvert",
    title="Move back into the pipeline…",
    button="Move back",
    form=BackForm,
    apply=_unconvert,
    hint="They leave Customers; their history and their order facts are kept.",
)


@admin.register(Customer)
class CustomerAdmin(LeadAdmin):
    """Customers, newest first; a lead becomes one by its status, so none is added here."""

    list_display = (
        "__str__",
        "number",
        "plan",
        "amount",
        "currency",
        "payment_status",
        "owner",
        "converted_at",
    )
    list_filter = ("payment_status", "owner", "campaign")
    ordering = ("-converted_at", "-id")
    sortable_by = ("converted_at",)
    fieldsets = (
        (None, {"fields": (("first_name", "last_name"), ("phone", "email"))}),
        ("Order", {"fields": (("amount", "currency"), ("plan", "payment_status"))}),
        ("Pipeline", {"fields": ("status", "owner", "campaign", "source", "labels")}),
        ("Record", {"fields": (("created_at", "updated_at"), ("converted_at", "version"))}),
    )
    actions = ("unconvert", "assign", "spread")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Writes what was ordered and the lead's own fields, each through its operation."""
        changed = set(form.changed_data)
        if changed & set(ORDER_FIELDS):
            facts = {name: form.cleaned_data[name] for name in ORDER_FIELDS}
            write_order(customers=[obj.pk], order=OrderFacts(**facts))
        if changed - set(ORDER_FIELDS):
            update_lead(lead=obj, changes=lead_changes(form))
        obj.refresh_from_db()

    @admin.action(description=UNCONVERT.title, permissions=["change"])
    def unconvert(self, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
        return UNCONVERT.ask(self, request, queryset)
