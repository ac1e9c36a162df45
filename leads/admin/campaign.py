"""Campaigns."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.admin.forms import CampaignForm
from leads.models import Campaign


@admin.register(Campaign)
class CampaignAdmin(CrmAdmin):
    """Campaigns and who works on them."""

    form = CampaignForm
    list_display = ("name", "status", "starts_on", "ends_on")
    list_filter = ("status",)
    ordering = ("name", "id")
    search_fields = ("name",)
    readonly_fields = ("version", "created_at", "updated_at", "agent_names")
    fieldsets = (
        (None, {"fields": ("name", "status", ("starts_on", "ends_on"), "team")}),
        ("Record", {"fields": (("created_at", "updated_at"), "version")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        """Who may only look sees the agents' names."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        (title, _), *others = self.fieldsets
        return ((title, {"fields": ("name", "status", ("starts_on", "ends_on"), "agent_names")}), *others)

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change or set(form.changed_data) - {"team"}:
            obj.save()
        if not change or "team" in form.changed_data:
            obj.agents.set(form.cleaned_data["team"])
        obj.refresh_from_db()

    @admin.display(description="agents")
    def agent_names(self, campaign: Any) -> str:
        return ", ".join(str(agent) for agent in campaign.agents.all())
