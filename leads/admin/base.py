"""What all the CRM's admin pages share: one POST is one unit of work, refusals are told, lists stay fast."""

from collections.abc import Callable
from typing import Any, ClassVar

import structlog
from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.db.models import Model, QuerySet
from django.db.models.deletion import ProtectedError
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext, gettext_lazy
from typing_extensions import override

from calliyo.errors import DomainError
from calliyo.unit_of_work import unit_of_work
from leads.phone_search import phone_condition

log = structlog.get_logger(__name__)
MOST_COUNTED = 5_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to a limit: nobody pages through a million rows, and counting them takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[:MOST_COUNTED].count()


# What a person is told, and beside which field, when the row would break one of the database's constraints.
BROKEN = {
    "tag_name_unique": ("name", gettext_lazy("There is a tag of this name already.")),
    "lead_status_name_unique": ("name", gettext_lazy("There is a status of this name already.")),
    "campaign_ends_after_start": ("ends_on", gettext_lazy("A campaign ends after it starts.")),
    "call_ends_after_start": ("ended_at", gettext_lazy("A call ends after it starts.")),
    "user_username_unique": ("username", gettext_lazy("Somebody else has this user name.")),
    "user_email_unique": ("email", gettext_lazy("Somebody else has this address.")),
    "user_employee_code_unique": ("employee_code", gettext_lazy("Somebody else has this employee code.")),
    "lead_amount_not_negative": ("amount", gettext_lazy("An amount is zero or more.")),
}


class RefusableForm(ModelForm):  # type: ignore[type-arg]
    """A form that shows, beside its field, why a rule or the database refuses what was typed."""

    refusal: ClassVar[DomainError | None] = None

    def _update_errors(self, errors: ValidationError) -> None:
        """Says in words which constraint is broken, in place of its name."""
        told: dict[str, list[ValidationError]] = {}
        for field, found in errors.error_dict.items():
            for error in found:
                broken = next((name for name in BROKEN if name in str(error.message)), "")
                beside, text = BROKEN.get(broken, (field, None))
                shown = error if text is None else ValidationError(text, code=broken)
                told.setdefault(beside if beside in self.fields else NON_FIELD_ERRORS, []).append(shown)
        super()._update_errors(ValidationError(told))  # type: ignore[misc]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.refusal is not None:
            field = self.refusal.field if self.refusal.field in self.fields else None
            self.add_error(field, ValidationError(self.refusal.detail, code=self.refusal.code))
        return cleaned


class CrmAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The base of the CRM's admin pages."""

    form = RefusableForm
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count each choice of each filter
    list_per_page = 50
    list_max_show_all = 200
    ordering: ClassVar[Any] = ("-id",)
    phone_path: str | None = None  # where a lead's phone is, from this model; None: not searched by phone

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["leads/admin.css"]}

    # ── one POST, one unit of work ──────────────────────────────────────────────────────────────────────
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Saves in one unit of work; what a rule refuses comes back in the form, with all that was typed."""
        show = super().changeform_view
        if request.method != "POST":
            return show(request, object_id, form_url, extra_context)
        request.POST  # noqa: B018  # read from the network before the transaction begins
        try:
            return _whole(show, request, object_id, form_url, extra_context)
        except DomainError as refusal:
            request.refusal = refusal  # type: ignore[attr-defined]
            return show(request, object_id, form_url, extra_context)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Pickers come without a button that deletes what is picked: an owner, a status, a campaign."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_delete_related = False
        return field

    @override
    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:  # type: ignore[type-arg]
        """The form, told what was refused at the first try."""
        form = super().get_form(request, obj, change=change, **kwargs)
        form.refusal = getattr(request, "refusal", None)  # type: ignore[attr-defined]
        return form

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Runs an action in one unit of work; what a rule refuses is told above the list."""
        if request.method != "POST":
            return super().changelist_view(request, extra_context)
        request.POST  # noqa: B018  # read from the network before the transaction begins
        try:
            return _whole(super().changelist_view, request, extra_context)
        except (DomainError, ProtectedError) as refusal:
            self.message_user(request, refusal_text(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Deletes in one unit of work; what a rule refuses is told on the object's page."""
        if request.method != "POST":
            return super().delete_view(request, object_id, extra_context)
        request.POST  # noqa: B018  # read from the network before the transaction begins
        try:
            return _whole(super().delete_view, request, object_id, extra_context)
        except (DomainError, ProtectedError) as refusal:
            self.message_user(request, refusal_text(refusal), messages.ERROR)
            opts = self.model._meta
            return HttpResponseRedirect(
                reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[object_id])
            )

    @override
    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: `save_model` has written relations too, through the operation."""

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Runs the action, unless it is meant for all rows and they are more than were counted."""
        if (
            request.POST.get("select_across") == "1"
            and self.get_paginator(request, queryset, 1).count >= MOST_COUNTED
        ):
            text = f"More than {MOST_COUNTED:,} rows match: narrow the list with filters, then select all."
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)

    # ── search ──────────────────────────────────────────────────────────────────────────────────────────
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By phone in any spelling, or its first digits; else each word in the searched fields."""
        if self.phone_path is not None:
            by_phone = phone_condition(search_term, self.phone_path)
            if by_phone is not None:
                return queryset.filter(by_phone), False
        return super().get_search_results(request, queryset, search_term)


class ReadOnlyAdmin(CrmAdmin):
    """Rows that only Calliyo writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ChangedMeanwhile(DomainError):
    """The database refused at the end what the form had found good: somebody was faster."""

    code = "changed_meanwhile"


def _whole(view: Callable[..., HttpResponse], *args: Any) -> HttpResponse:
    """A view in one unit of work; raises ChangedMeanwhile where a rival made what it wrote impossible."""
    try:
        return _in_one_unit(view, *args)
    except ProtectedError:
        raise
    except IntegrityError as error:
        log.warning("admin.changed_meanwhile", exc_info=True)
        text = gettext(
            "Somebody else changed what this refers to at the same moment. Look again, and repeat it."
        )
        raise ChangedMeanwhile(text) from error


@unit_of_work
def _in_one_unit(view: Callable[..., HttpResponse], *args: Any) -> HttpResponse:
    # Decorated, so that it begins again when the database chose it to give way to a rival.
    return view(*args)


def refusal_text(refusal: DomainError | ProtectedError) -> str:
    """Why something was refused, for people."""
    if isinstance(refusal, DomainError):
        return refusal.detail
    return gettext("It can't be deleted: other records still refer to it.")
