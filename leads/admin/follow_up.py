"""Follow-ups: what is overdue and what is due today comes first."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.admin.forms import FollowUpForm
from leads.admin.questions import counted
from leads.models import FollowUp
from leads.operations.company import company_zone
from leads.operations.follow_ups import (
    FollowUpChanges,
    day_bounds,
    reopen_follow_up,
    resolve_follow_up,
    schedule_follow_up,
    update_follow_up,
)


class DueFilter(admin.SimpleListFilter):
    """Open ones unless another choice is made: who opens the list wants to know whom to call."""

    title = "due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", "All open"),
            ("overdue", "Overdue"),
            ("today", "Today"),
            ("later", "After today"),
            ("resolved", "Resolved"),
            ("all", "All"),
        ]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        chosen = self.value() or "open"
        for value, title in self.lookup_choices:
            yield {
                "selected": chosen == value,
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        start, end = day_bounds(now.astimezone(company_zone()).date(), company_zone())
        open_ones = queryset.filter(resolved_at=None)
        match self.value():
            case None | "open":
                return open_ones
            case "overdue":
                return open_ones.filter(due_at__lt=now)
            case "today":
                return open_ones.filter(due_at__gte=start, due_at__lt=end)
            case "later":
                return open_ones.filter(due_at__gte=end)
            case "resolved":
                return queryset.exclude(resolved_at=None)
            case _:
                return queryset


@admin.register(FollowUp)
class FollowUpAdmin(CrmAdmin):
    """Follow-ups, the longest overdue first."""

    form = FollowUpForm
    list_display = ("due_at", "lead", "owner", "note", "state")
    list_filter = (DueFilter, "owner")
    list_select_related = ("lead", "owner")
    ordering = ("due_at", "id")
    sortable_by = ("due_at",)
    search_fields = ("lead__first_name", "lead__last_name")
    search_help_text = "The lead's phone number in any spelling, or his name"
    phone_path = "lead__phone"
    autocomplete_fields = ("lead", "owner")
    readonly_fields = ("resolved_at", "version", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("lead", "due_at", "owner", "note")}),
        ("Record", {"fields": ("resolved_at", ("created_at", "updated_at"), "version")}),
    )
    actions = ("resolve", "reopen")

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        """A new one is open; one that exists can be ticked off, unless it is only looked at."""
        if obj is None or not self.has_change_permission(request, obj):
            return self.fieldsets
        (title, options), *others = self.fieldsets
        return ((title, {**options, "fields": (*options["fields"], "done")}), *others)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        """A follow-up stays with its lead."""
        return (*self.readonly_fields, "lead") if obj is not None else self.readonly_fields

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            changes: FollowUpChanges = {}
            for name in form.changed_data:
                changes["resolved" if name == "done" else name] = form.cleaned_data[name]  # type: ignore[literal-required]
            update_follow_up(follow_up=obj, changes=changes)
        else:
            told = {name: form.cleaned_data[name] for name in ("lead", "due_at", "owner", "note")}
            obj.pk = schedule_follow_up(**told).pk
        obj.refresh_from_db()

    @admin.display(description="status")
    def state(self, follow_up: Any) -> str:
        return str(follow_up.status)

    @admin.action(description="Mark as done", permissions=["change"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for follow_up in queryset:
            resolve_follow_up(follow_up=follow_up)
        done = counted(len(queryset), "follow-up", "follow-ups")
        self.message_user(request, f"{done} marked as done.", messages.SUCCESS)

    @admin.action(description="Open again", permissions=["change"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for follow_up in queryset:
            reopen_follow_up(follow_up=follow_up)
        done = counted(len(queryset), "follow-up", "follow-ups")
        self.message_user(request, f"{done} opened again.", messages.SUCCESS)
