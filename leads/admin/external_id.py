"""What other systems call our leads; read only: the keys set them."""

from django.contrib import admin

from leads.admin.base import ReadOnlyAdmin
from leads.models import ExternalId


@admin.register(ExternalId)
class ExternalIdAdmin(ReadOnlyAdmin):
    """External ids, newest first."""

    list_display = ("value", "lead", "api_key_id")
    list_select_related = ("lead",)
    sortable_by = ()
    search_fields = ("value__startswith",)
    search_help_text = "The external id's beginning, or the lead's phone number in any spelling"
    phone_path = "lead__phone"
