"""Tags."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.models import Tag
from leads.operations.tags import create_tag, delete_tag, rename_tag


@admin.register(Tag)
class TagAdmin(CrmAdmin):
    """Tags by name; renaming or deleting one changes its leads."""

    list_display = ("name", "created_at")
    ordering = ("name", "id")
    search_fields = ("name",)
    fields = ("name", "version", "created_at", "updated_at")
    readonly_fields = ("version", "created_at", "updated_at")

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        name = form.cleaned_data["name"]
        if change:
            rename_tag(tag=obj, name=name)
        else:
            obj.pk = create_tag(name=name).pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_tag(tag=obj)
