"""A page between an action and its doing: what is asked, and then done to the selected rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from calliyo.errors import DomainError
from leads.admin.base import CrmAdmin

ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An action's question: its form, and what is done with the answer (which says in words what was done)."""

    action: str
    title: str
    button: str
    form: type[forms.Form]
    apply: Callable[[QuerySet[Any], dict[str, Any]], str]
    hint: str = ""

    def ask(
        self, model_admin: CrmAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> TemplateResponse | None:
        """Shows the question; once it is answered, does it and goes back to the list."""
        form = self.form(request.POST) if ANSWERED in request.POST else self.form()
        if form.is_bound and form.is_valid():
            try:
                done = self.apply(queryset, form.cleaned_data)
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                model_admin.message_user(request, done, messages.SUCCESS)
                return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": self.title,
            "question": self,
            "opts": model_admin.model._meta,
            "form": form,
            "media": model_admin.media + form.media,
            "answered": ANSWERED,
            "checkbox": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "count": model_admin.get_paginator(request, queryset, 1).count,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "leads/admin/question.html", context)


def counted(number: int, one: str, many: str) -> str:
    """`1 lead`, `1,204 leads`."""
    return f"{number:,} {one if number == 1 else many}"
