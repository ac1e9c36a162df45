"""Tags."""

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from typing_extensions import override

from leads.admin.base import CrmAdmin
from leads.admin.questions import counted
from leads.models import LeadTag, Tag
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

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What deleting would change, as numbers: a tag may be on a million leads, too many to name."""
        tags = list(objs)
        on = LeadTag.objects.filter(tag__in=tags).values_list("tag").annotate(leads=Count("pk"))
        leads = dict(on.order_by())
        lines = [f"{tag} (on {counted(leads.get(tag.pk, 0), 'lead', 'leads')})" for tag in tags]
        allowed = self.has_delete_permission(request)
        return lines, {"tags": len(tags)}, set() if allowed else {"tag"}, []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_tag(tag=obj)
