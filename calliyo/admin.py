"""The company in the admin: its one row, for company admins. At the project's head, as it asks `leads` of phones."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from calliyo.models import Company
from leads.phones import is_region


class CompanyForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic class when it runs
    """What Settings → General holds, checked against what phone numbers and clocks know."""

    class Meta:
        model = Company
        fields: ClassVar[list[str]] = ["name", "country", "time_zone", "retention_days"]

    def clean_country(self) -> str:
        country: str = self.cleaned_data["country"].strip().upper()
        if not is_region(country):
            raise ValidationError(f"{country} is no country's ISO code, such as IN.", code="unknown_country")
        return country

    def clean_time_zone(self) -> str:
        time_zone: str = self.cleaned_data["time_zone"].strip()
        if time_zone not in available_timezones():
            text = f"There is no time zone {time_zone!r}; write it as in Asia/Kolkata."
            raise ValidationError(text, code="unknown_time_zone")
        return time_zone


@admin.register(Company)
class CompanyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic class when it runs
    """One row, so its list leads straight to it."""

    form = CompanyForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:calliyo_company_change", Company.current().pk)
