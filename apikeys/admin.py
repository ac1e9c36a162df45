"""API keys, their audit and kept answers in the admin, to be read: keys are changed in Settings → API."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apikeys.models import APIKey, AuditEntry, IdempotencyRecord, KeyUsage, RefusedCall


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic class when it runs
    """Looked at, never written: each change belongs to an operation that audits it."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(APIKey)
class APIKeyAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "prefix",
        "active",
        "scopes_in_a_row",
        "expires_at",
        "last_used_at",
        "last_used_address",
    )
    list_filter = ("active",)
    search_fields = ("name", "prefix")
    # The digest is left out: it is nobody's to see.
    fields = (
        "name",
        "prefix",
        "active",
        "scopes",
        "expires_at",
        "rate_limit",
        "allowed_addresses",
        "allowed_origins",
        "manage_webhooks",
        ("created_by_type", "created_by_id", "created_by_name"),
        ("created_at", "updated_at", "version"),
        ("last_used_at", "last_used_address"),
    )

    @admin.display(description=_("scopes"))
    def scopes_in_a_row(self, key: APIKey) -> str:
        """The scopes as the API writes them, without the brackets of a list."""
        return ", ".join(key.scopes)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "api_key_name", "actor_name", "data")
    list_filter = ("action",)
    search_fields = ("api_key_name", "actor_name", "request_id")
    date_hierarchy = "at"


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "api_key_id", "method", "path", "key", "status", "finished_at")
    search_fields = ("key",)
    # The kept answer may hold a secret that was generated in it.
    exclude = ("body", "headers")


@admin.register(KeyUsage)
class KeyUsageAdmin(ReadOnlyAdmin):
    list_display = ("day", "api_key_id", "resource", "access", "result", "calls")
    list_filter = ("result", "access")
    search_fields = ("=api_key_id",)


@admin.register(RefusedCall)
class RefusedCallAdmin(ReadOnlyAdmin):
    list_display = ("at", "api_key_id", "method", "path", "status", "code", "address")
    list_filter = ("status",)
    search_fields = ("=api_key_id", "=request_id")
