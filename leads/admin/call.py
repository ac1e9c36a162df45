"""Calls that were made or came in."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AdminURLFieldWidget
from django.db.models import URLField
from django.http import HttpRequest
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.models import Call, User
from leads.operations.calls import CallChanges, log_call, update_call


@admin.register(Call)
class CallAdmin(CrmAdmin):
    """Calls, newest first; logging one settles the follow-ups due on its day."""

    list_display = ("started_at", "lead", "agent", "direction", "status", "duration_seconds", "connected")
    list_filter = ("status", "direction", "agent")
    list_select_related = ("lead", "agent")
    ordering = ("-started_at", "-id")
    sortable_by = ("started_at",)
    search_fields = ("lead__first_name", "lead__last_name")
    search_help_text = "The lead's phone number in any spelling, or his name"
    phone_path = "lead__phone"
    autocomplete_fields = ("lead", "agent")
    formfield_overrides = {URLField: {"assume_scheme": "https", "widget": AdminURLFieldWidget}}
    readonly_fields = ("completed_at", "version", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("lead", "agent", ("direction", "status"))}),
        ("Times", {"fields": ("started_at", "ended_at", "duration_seconds")}),
        (None, {"fields": ("note", "recording_url")}),
        ("Record", {"fields": (("created_at", "updated_at"), ("completed_at", "version"))}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        """A call stays with its lead."""
        return (*self.readonly_fields, "lead") if obj is not None else self.readonly_fields

    @override
    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "duration_seconds" in form.base_fields:
            form.base_fields["duration_seconds"].required = False
            form.base_fields["duration_seconds"].help_text = "seconds spoken; empty: from start to end"
            if obj is None:
                form.base_fields["duration_seconds"].initial = None
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The one who logs a call is usually the one who made it."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"agent": request.user.pk} | initial if isinstance(request.user, User) else initial

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            changes: CallChanges = {name: form.cleaned_data[name] for name in form.changed_data}  # type: ignore[assignment]
            update_call(call=obj, changes=changes)
        else:
            obj.pk = log_call(**form.cleaned_data).pk
        obj.refresh_from_db()

    @admin.display(boolean=True)
    def connected(self, call: Any) -> bool:
        return bool(call.connected)
