"""Configure → Scopes as one form: the ticks of the table, and the limits folded under it. One save, or none of it."""

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.utils.formats import number_format
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apikeys.errors import BrowserKeyTooWide
from apikeys.models import APIKey
from apikeys.scopes import in_order
from apikeys.throttling import DEFAULT_RATE
from apikeys.validation import MAX_RATE_LIMIT, checked_addresses, checked_origins
from calliyo.errors import DomainError
from calliyo.pages.api_tab.forms import (
    KEEP,
    SCOPE_CHOICES,
    ExpiryForm,
    add_domain_error,
    end_in_words,
    number_errors,
)

LIMITS = ("expires", "expires_on", "rate_limit", "allowed_addresses", "allowed_origins", "manage_webhooks")


class LinesField(forms.CharField):
    """A list, an entry a line (commas and spaces part entries too); `check` gives it as it is kept, or refuses it."""

    def __init__(self, *, check: Callable[[Iterable[str]], list[str]], **options: Any) -> None:
        attrs = {"rows": 2, "spellcheck": "false", "autocomplete": "off"}
        super().__init__(required=False, max_length=5000, widget=forms.Textarea(attrs=attrs), **options)
        self.check = check

    def prepare_value(self, value: Any) -> Any:
        """A list as its lines; typed text as it is."""
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other entries were typed than were there."""
        return (data or "").replace(",", " ").split() != list(initial or ())

    def clean(self, value: Any) -> list[str]:
        """The entries, each checked."""
        text: str = super().clean(value)
        try:
            return self.check(text.replace(",", " ").split())
        except DomainError as error:
            raise forms.ValidationError(error.detail) from error


class ConfigForm(ExpiryForm):
    """The ticks and limits, the version of the key that they were made on, and the stopping events that were seen."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    scopes = forms.MultipleChoiceField(choices=SCOPE_CHOICES, required=False)
    stops_accepted = forms.CharField(required=False, widget=forms.HiddenInput)
    rate_limit = forms.IntegerField(
        label=_("Requests a minute"),
        required=False,
        min_value=0,
        max_value=MAX_RATE_LIMIT,
        error_messages=number_errors(_("Write a number from 0 to {most}, or nothing."), MAX_RATE_LIMIT),
        help_text=format_lazy(_("Empty: {default}, as for every key. 0: no limit."), default=DEFAULT_RATE),
    )
    allowed_addresses = LinesField(
        label=_("Allowed addresses"),
        check=checked_addresses,
        help_text=_(
            "Where the token may be used from: addresses or networks such as 203.0.113.0/24, one a line. "
            "Empty: from anywhere."
        ),
    )
    allowed_origins = LinesField(
        label=_("Allowed origins"),
        check=checked_origins,
        help_text=_(
            "Only for a form in a web page that sends leads by itself: the page’s origin, such as "
            "https://www.example.com, one a line. Such a token is public, so it may hold Leads write only."
        ),
    )
    manage_webhooks = forms.BooleanField(
        label=_("May manage webhooks of its own through the API (as n8n and Zapier do)"), required=False
    )

    def __init__(self, data: Any = None, *, key: APIKey) -> None:
        super().__init__(data, initial=_saved(key), kept=key.expires_at)

    @property
    def opens_limits(self) -> bool:
        """Whether the folded part has something to say: an error, or what was typed and is not saved."""
        told = {*self.errors, *self.changed_data} if self.is_bound else ()
        return any(name in told for name in LIMITS)

    def configuration(self) -> dict[str, Any]:
        """What `configure_key` takes."""
        wanted = (
            "expires_at",
            "rate_limit",
            "allowed_addresses",
            "allowed_origins",
            "manage_webhooks",
        )
        data = self.cleaned_data
        return {"scopes": in_order(data["scopes"])} | {name: data[name] for name in wanted}

    def refuse(self, error: DomainError) -> None:
        """Says what a rule of the key's refused, where it can be put right."""
        if isinstance(error, BrowserKeyTooWide):
            self.add_error(
                "allowed_origins",
                _("A token in a web page is public: untick everything but Leads write, or leave this empty."),
            )
        else:
            add_domain_error(self, error)


def limits_in_words(key: APIKey) -> str:
    """The limits that a key has, for the line that the folded part is known by."""
    told = []
    if key.expires_at is not None:
        told.append(gettext("ends %(end)s") % {"end": end_in_words(key.expires_at)})
    rate = DEFAULT_RATE if key.rate_limit is None else key.rate_limit
    told.append(
        gettext("%(rate)s requests a minute") % {"rate": number_format(rate, force_grouping=True)}
        if rate
        else gettext("no rate limit")
    )
    addresses = len(key.allowed_addresses)
    told.append(
        ngettext("from %(count)d network", "from %(count)d networks", addresses) % {"count": addresses}
        if addresses
        else gettext("from anywhere")
    )
    if key.allowed_origins:
        told.append(gettext("used in web pages"))
    if key.manage_webhooks:
        told.append(gettext("manages its own webhooks"))
    return ", ".join(told)


def _saved(key: APIKey) -> dict[str, Any]:
    return {
        "version": key.version,
        "scopes": key.scopes,
        "expires": KEEP if key.expires_at else "",
        "rate_limit": key.rate_limit,
        "allowed_addresses": key.allowed_addresses,
        "allowed_origins": key.allowed_origins,
        "manage_webhooks": key.manage_webhooks,
    }
