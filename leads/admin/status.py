"""The pipeline's stages."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from typing_extensions import override

from calliyo.errors import DomainError
from leads.admin.base import CrmAdmin
from leads.admin.questions import counted
from leads.models import LeadStatus
from leads.operations.statuses import create_status, delete_status, rename_status


@admin.register(LeadStatus)
class LeadStatusAdmin(CrmAdmin):
    """The stages in their order; the protected ones keep their names."""

    list_display = ("name", "position", "protected")
    ordering = ("position", "id")
    search_fields = ("name",)
    fields = ("name", "position", "protected", "version", "created_at", "updated_at")
    readonly_fields = ("protected", "version", "created_at", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        """A protected stage's name is shown, not asked; a new stage comes last."""
        if obj is None:
            return (*self.readonly_fields, "position")
        return (*self.readonly_fields, "name") if obj.protected else self.readonly_fields

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.pk = create_status(name=form.cleaned_data["name"]).pk
        if "position" in form.changed_data:
            obj.save(update_fields=["position"])
        if change and "name" in form.changed_data:
            rename_status(status=LeadStatus.objects.get(pk=obj.pk), name=form.cleaned_data["name"])
        obj.refresh_from_db()

    @admin.display(boolean=True)
    def protected(self, status: Any) -> bool:
        return bool(status.protected)

    # ── deleting ────────────────────────────────────────────────────────────────────────────────────────
    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Stages are deleted one by one, with a word on where their leads go."""
        return {}

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        protected = obj is not None and obj.protected
        return not protected and super().has_delete_permission(request, obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks where the stage's leads go, instead of listing what may be a million of them."""
        status = self.get_object(request, object_id)
        if status is None or not self.has_delete_permission(request, status):
            raise Http404("There is no such status to delete.")
        form = self._move_form(status)(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                moved = delete_status(status=status, move_to=form.cleaned_data["move_to"])
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                self.message_user(
                    request, f"{status} deleted, {counted(moved, 'lead', 'leads')} moved.", messages.SUCCESS
                )
                return HttpResponseRedirect(reverse("admin:leads_leadstatus_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Delete {status}?",
            "opts": self.model._meta,
            "status": status,
            "leads": status.leads.count(),
            "form": form,
            "back": reverse("admin:leads_leadstatus_change", args=[status.pk]),
        }
        return TemplateResponse(request, "leads/admin/delete_status.html", context)

    def _move_form(self, status: LeadStatus) -> type[forms.Form]:
        class MoveForm(forms.Form):
            move_to = forms.ModelChoiceField(
                queryset=LeadStatus.objects.exclude(pk=status.pk),
                required=False,
                label="Move its leads to",
                empty_label="choose a status",
            )

        return MoveForm
