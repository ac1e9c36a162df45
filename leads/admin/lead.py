"""Leads: the list that the team works from, and one lead with its timeline."""

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.admin.forms import AssignForm, LeadForm, OrderForm, SpreadForm, StatusForm
from leads.admin.questions import Question, counted
from leads.models import Call, Lead
from leads.operations.assignment import assign_leads, spread_leads
from leads.operations.conversion import OrderFacts, convert_leads
from leads.operations.intake import LeadChanges, create_lead, update_lead
from leads.operations.statuses import change_status
from leads.phones import readable
from leads.timeline import timeline

Answers = dict[str, Any]


def _assign(leads: QuerySet[Lead], answers: Answers) -> str:
    to = answers["owner"]
    done = counted(assign_leads(leads=leads, to=to), "lead", "leads")
    return f"{done} assigned to {to}." if to else f"{done} taken from their owners."


def _spread(leads: QuerySet[Lead], answers: Answers) -> str:
    agents = {agent.pk: agent for agent in answers["agents"]}
    spread = spread_leads(leads=leads, over=list(agents.values()))
    shares = ", ".join(f"{agents[pk]}: {count:,}" for pk, count in spread.assigned.items())
    return f"{counted(spread.leads, 'lead', 'leads')} spread ({shares})."


def _change_status(leads: QuerySet[Lead], answers: Answers) -> str:
    to = answers["status"]
    return f"{counted(change_status(leads=leads, to=to), 'lead', 'leads')} moved to {to}."


def _convert(leads: QuerySet[Lead], answers: Answers) -> str:
    facts = OrderFacts(**answers)
    told = facts != OrderFacts()
    converted = convert_leads(leads=leads, order=facts if told else None)
    return f"{counted(converted, 'lead', 'leads')} converted."


ASSIGN = Question(action="assign", title="Assign to…", button="Assign", form=AssignForm, apply=_assign)
SPREAD = Question(
    action="spread",
    title="Spread over agents…",
    button="Spread",
    form=SpreadForm,
    apply=_spread,
    hint="They are dealt out in turn, as evenly as the agents' lead caps allow.",
)
CHANGE_STATUS = Question(
    action="change_status", title="Change status…", button="Change", form=StatusForm, apply=_change_status
)
CONVERT = Question(
    action="convert",
    title="Convert to customers…",
    button="Convert",
    form=OrderForm,
    apply=_convert,
    hint="What you fill in is written on all of them; leave it empty to keep what is known.",
)


@admin.register(Lead)
class LeadAdmin(CrmAdmin):
    """Leads, searched by name, address or phone in any spelling."""

    form = LeadForm
    change_form_template = "leads/admin/lead_form.html"
    list_display: Any = (
        "__str__",
        "number",
        "status",
        "owner",
        "campaign",
        "tag_names",
        "last_call",
        "created_at",
    )
    list_display_links = ("__str__",)
    list_filter: ClassVar[Any] = ("status", "owner", "campaign", "tags")
    list_select_related = ("status", "owner", "campaign")
    sortable_by = ("created_at",)
    search_fields = ("first_name", "last_name", "email")
    search_help_text = "A phone number in any spelling or its first digits, or words of the name or address"
    phone_path = "phone"
    autocomplete_fields = ("owner", "campaign")
    readonly_fields = ("converted_at", "version", "created_at", "updated_at")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": (("first_name", "last_name"), ("phone", "email"))}),
        ("Pipeline", {"fields": ("status", "owner", "campaign", "source", "labels")}),
        ("Record", {"fields": (("created_at", "updated_at"), ("converted_at", "version"))}),
    )
    actions: Any = ("assign", "spread", "change_status", "convert")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last = (
            Call.objects.filter(lead=OuterRef("pk")).order_by("-started_at", "-id").values("started_at")[:1]
        )
        leads: QuerySet[Any] = super().get_queryset(request).annotate(last_call_at=Subquery(last))
        return leads.prefetch_related("tags")

    # ── saving ──────────────────────────────────────────────────────────────────────────────────────────
    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Creates or changes through the operation, tags too, and takes over what it wrote."""
        if change:
            update_lead(lead=obj, changes=lead_changes(form))
        else:
            told = {name: form.cleaned_data[name] for name in form.cleaned_data if name != "labels"}
            labels = [tag.name for tag in form.cleaned_data["labels"]]
            obj.pk = create_lead(**told, tags=labels).pk
        obj.refresh_from_db()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        """The lead's form and, under it, its timeline with links to add to it."""
        lead = self.get_object(request, object_id) if request.method == "GET" else None
        context = {"timeline": timeline(lead), "timeline_links": _links(lead)} if lead is not None else {}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | context)

    # ── columns ─────────────────────────────────────────────────────────────────────────────────────────
    @admin.display(description="phone")
    def number(self, lead: Any) -> str:
        return format_html('<a href="tel:{}">{}</a>', lead.phone, readable(lead.phone))

    @admin.display(description="tags")
    def tag_names(self, lead: Any) -> str:
        return ", ".join(sorted((tag.name for tag in lead.tags.all()), key=str.casefold))

    @admin.display(description="last call")
    def last_call(self, lead: Any) -> Any:
        return lead.last_call_at

    # ── actions ─────────────────────────────────────────────────────────────────────────────────────────
    @admin.action(description=ASSIGN.title, permissions=["change"])
    def assign(self, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
        return ASSIGN.ask(self, request, queryset)

    @admin.action(description=SPREAD.title, permissions=["change"])
    def spread(self, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
        return SPREAD.ask(self, request, queryset)

    @admin.action(description=CHANGE_STATUS.title, permissions=["change"])
    def change_status(self, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
        return CHANGE_STATUS.ask(self, request, queryset)

    @admin.action(description=CONVERT.title, permissions=["change"])
    def convert(self, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
        return CONVERT.ask(self, request, queryset)


def lead_changes(form: Any) -> LeadChanges:
    """What the form changed of the lead itself, as the operation takes it."""
    named = LeadChanges.__annotations__.keys() & set(form.changed_data)
    changes: dict[str, Any] = {name: form.cleaned_data[name] for name in named}
    if "labels" in form.changed_data:
        changes["tags"] = [tag.name for tag in form.cleaned_data["labels"]]
    return cast("LeadChanges", changes)


def _links(lead: Any) -> list[dict[str, str]]:
    models = (("call", "Log a call"), ("note", "Add a note"), ("followup", "Schedule a follow-up"))
    return [
        {"url": f"{reverse(f'admin:leads_{model}_add')}?lead={lead.pk}", "label": label}
        for model, label in models
    ]
