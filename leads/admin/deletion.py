"""What is gone; read only."""

from django.contrib import admin

from leads.admin.base import ReadOnlyAdmin
from leads.models import Deletion


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    """What was deleted, newest first."""

    list_display = ("resource", "object_id", "deleted_at")
    list_filter = ("resource",)
    sortable_by = ()
