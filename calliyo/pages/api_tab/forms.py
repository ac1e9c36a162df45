"""The forms of the API tab: they read what was typed; the rules live in the operations."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apikeys.models import APIKey
from apikeys.scopes import Scope
from calliyo.errors import DomainError

SPANS = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days"), "365": _("A year")}
ON_A_DATE, KEEP = "date", "keep"
SCOPE_CHOICES = [(scope.value, scope.value) for scope in Scope]


def add_domain_error(form: forms.BaseForm, error: DomainError) -> None:
    """Ties a refusal to the field that it names; one that names none goes to the head of the form."""
    form.add_error(error.field if error.field in form.fields else None, error.detail)


def number_errors(words: Any, most: int) -> dict[str, Any]:
    """One sentence for all that can be wrong with a number; `{most}` in it is the largest one."""
    told = format_lazy(words, most=f"{most:,}")
    return dict.fromkeys(("invalid", "min_value", "max_value"), told)


class PlainForm(forms.Form):
    """Labels without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class ExpiryForm(PlainForm):
    """When a key ends: `expires`, whose choices are dated, and `expires_on` for one of them.

    `kept` is the end that the key has, which stays possible even where it is past or not a day's end.
    """

    expires_on = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"invalid": _("Write the day as in 2026-12-31.")},
    )

    def __init__(self, *args: Any, kept: datetime | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = kept
        today = timezone.localdate()
        spans = [
            (days, f"{label} ({_day(today + timedelta(days=int(days)))})") for days, label in SPANS.items()
        ]
        own = [(KEEP, gettext("As it is: %(end)s") % {"end": end_in_words(kept)})] if kept else []
        choices = [*own, ("", _("Never")), *spans, (ON_A_DATE, _("On a date…"))]
        self.fields["expires"] = forms.ChoiceField(label=_("Expires"), required=False, choices=choices)
        self.fields["expires_on"].widget.attrs["min"] = today.isoformat()

    def clean(self) -> dict[str, Any]:
        """Adds `expires_at`: the end of the chosen day where the company is, or None."""
        data = super().clean() or {}
        data["expires_at"] = self._end(data)
        return data

    def _end(self, data: dict[str, Any]) -> datetime | None:
        choice = data.get("expires")
        if not choice:
            return None
        if choice == KEEP:
            return self.kept
        if choice != ON_A_DATE:
            return _end_of(timezone.localdate() + timedelta(days=int(choice)))
        day: date | None = data.get("expires_on")
        if day is None:
            if "expires_on" not in self.errors:
                self.add_error("expires_on", _("Choose the last day on which the key works."))
            return None
        if day < timezone.localdate():
            self.add_error("expires_on", _("This day is over. Choose today or a later day."))
        return _end_of(day)


class NameForm(PlainForm):
    """A key's name."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Usually the system that will use it."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
        error_messages={"required": _("Give the key a name, such as “Zoho production”.")},
    )


class KeyForm(NameForm, ExpiryForm):
    """Create API Key: a name, when it ends, and the scopes to begin with."""

    scopes = forms.MultipleChoiceField(choices=SCOPE_CHOICES, required=False)


class RenameForm(NameForm):
    """Another name for a key, and the version that it was read from."""

    version = forms.IntegerField(widget=forms.HiddenInput)


class DuplicateForm(NameForm, ExpiryForm):
    """A key like another one: a name of its own, when it ends, and whether its webhooks are copied."""

    webhooks = forms.BooleanField(required=False)


class DeleteForm(PlainForm):
    """Delete: the key's name, typed."""

    typed_name = forms.CharField(label=_("Type the name of the key"), strip=True, max_length=200)

    def __init__(self, *args: Any, key: APIKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = key

    def clean_typed_name(self) -> str:
        """Refuses any other name: this is what keeps a slip of the mouse from deleting."""
        typed: str = self.cleaned_data["typed_name"]
        if typed != self.key.name:
            raise forms.ValidationError(_("This is not the key’s name."))
        return typed


def end_in_words(end: datetime) -> str:
    """The end of a key: the last day where it ends with one, else the minute."""
    here = timezone.localtime(end)
    # One that ends with a day is known by that day, not by the midnight after it.
    return _day(here - timedelta(days=1)) if here.time() == time.min else date_format(here, "j M Y, H:i")


def _end_of(day: date) -> datetime:
    """The first moment after this day, in the company's time zone."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))


def _day(day: date) -> str:
    return date_format(day, "j M Y")
