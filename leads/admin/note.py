"""Notes on leads and customers."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import Truncator
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.models import Note
from leads.operations.notes import add_note, edit_note


@admin.register(Note)
class NoteAdmin(CrmAdmin):
    """Notes, newest first; the author is who writes it."""

    list_display = ("beginning", "lead", "author_name", "created_at")
    list_filter = ("author_type",)
    list_select_related = ("lead",)
    sortable_by = ()
    search_fields = ("lead__first_name", "lead__last_name")
    search_help_text = "The lead's phone number in any spelling, or his name"
    phone_path = "lead__phone"
    autocomplete_fields = ("lead",)
    readonly_fields = ("author_type", "author_name", "version", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("lead", "text")}),
        ("Record", {"fields": (("author_type", "author_name"), ("created_at", "updated_at"), "version")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        """A note stays with its lead."""
        return (*self.readonly_fields, "lead") if obj is not None else self.readonly_fields

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            edit_note(note=obj, text=form.cleaned_data["text"])
        else:
            obj.pk = add_note(lead=form.cleaned_data["lead"], text=form.cleaned_data["text"]).pk
        obj.refresh_from_db()

    @admin.display(description="note")
    def beginning(self, note: Any) -> str:
        return Truncator(note.text).chars(80)
