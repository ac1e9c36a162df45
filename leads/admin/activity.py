"""The timeline's lines that have no page of their own; read only."""

from typing import Any

from django.contrib import admin

from leads.admin.base import ReadOnlyAdmin
from leads.models import Activity
from leads.timeline import describe


@admin.register(Activity)
class ActivityAdmin(ReadOnlyAdmin):
    """What was done to leads, newest first."""

    list_display = ("at", "lead", "what", "actor_name")
    list_filter = ("actor_type",)
    list_select_related = ("lead",)
    sortable_by = ()
    search_fields = ("lead__first_name", "lead__last_name")
    search_help_text = "The lead's phone number in any spelling, or his name"
    phone_path = "lead__phone"

    @admin.display(description="what happened")
    def what(self, activity: Any) -> str:
        return describe(activity.kind, activity.data)[0]
