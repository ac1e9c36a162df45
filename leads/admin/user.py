"""The team: roles, lead caps, bans."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm, UserCreationForm, UsernameField
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import Field
from django.http import HttpRequest
from typing_extensions import override

from leads.admin.base import CrmAdmin, RefusableForm
from leads.admin.forms import PhoneField
from leads.admin.questions import counted
from leads.models import User
from leads.operations.second_factor import switch_off
from leads.operations.users import delete_user, save_user, set_banned

# Roles say who may do what; groups would only seem to. (Django registers them as its module is imported above.)
admin.site.unregister(Group)


class UserAddForm(RefusableForm, UserCreationForm):  # type: ignore[type-arg]
    """A new user with his first password."""

    class Meta:
        model = User
        fields: ClassVar[list[str]] = []
        field_classes: ClassVar[dict[str, type[Field]]] = {"phone": PhoneField, "username": UsernameField}


class UserEditForm(RefusableForm, UserChangeForm):  # type: ignore[type-arg]
    """A user; the password has a page of its own."""

    class Meta:
        model = User
        fields: ClassVar[list[str]] = []
        field_classes: ClassVar[dict[str, type[Field]]] = {"phone": PhoneField, "username": UsernameField}


@admin.register(User)
class UserAdmin(CrmAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """Users by name; only company admins change them."""

    form = UserEditForm
    add_form = UserAddForm
    list_display = ("name", "username", "email", "role", "lead_cap", "is_active")
    list_filter = ("role", "is_active")
    ordering = ("name", "id")
    search_fields = ("name", "username", "email", "phone", "employee_code")
    filter_horizontal = ()
    readonly_fields = ("has_second_factor", "last_login", "version", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("name", ("email", "phone"), "employee_code")}),
        ("Work", {"fields": ("role", "lead_cap", "is_active")}),
        (
            "Record",
            {"fields": (("created_at", "updated_at"), ("last_login", "version"), "has_second_factor")},
        ),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "password1", "password2")}),
        ("Person", {"fields": ("name", "email", "phone", "employee_code")}),
        ("Work", {"fields": ("role", "lead_cap")}),
    )
    actions = ("ban", "lift_ban", "remove_second_factor")

    @override
    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "is_active" in form.base_fields:
            form.base_fields["is_active"].label = "Active"
            form.base_fields[
                "is_active"
            ].help_text = "Unticked, the user is banned: logged out at once, and given no leads."
        return form

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save_user(user=obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_user(user=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for user in queryset:
            delete_user(user=user)

    @admin.action(description="Ban", permissions=["change"])
    def ban(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        done = counted(set_banned(users=list(queryset), banned=True), "user", "users")
        self.message_user(request, f"{done} banned.", messages.SUCCESS)

    @admin.action(description="Lift the ban", permissions=["change"])
    def lift_ban(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        done = counted(set_banned(users=list(queryset), banned=False), "user", "users")
        self.message_user(request, f"{done} let in again.", messages.SUCCESS)

    @admin.action(description="Remove the second factor", permissions=["superuser"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """For somebody who lost phone and recovery codes: the password is enough again."""
        users = list(queryset.filter(has_second_factor=True))
        for user in users:
            switch_off(user=user)
        done = counted(len(users), "second factor", "second factors")
        self.message_user(request, f"{done} removed.", messages.SUCCESS)

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser
