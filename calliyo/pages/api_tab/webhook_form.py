"""The form of one webhook, new or existing: it reads what was typed; the rules live in `webhooks.operations`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apikeys.models import APIKey
from apikeys.scopes import Scope, in_order
from calliyo.errors import DomainError
from calliyo.pages.api_tab.forms import PlainForm, number_errors
from calliyo.pages.api_tab.health import events_without_scope
from calliyo.pages.api_tab.webhook_changes import as_text, picture
from calliyo.pages.api_tab.webhook_headers import header_names, headers_shown, headers_typed
from calliyo.pages.wording import seen_with, titled
from webhooks.catalogue import CATALOGUE, EventType, needed_scope
from webhooks.models import Ordering, Webhook
from webhooks.secrets import InvalidSecret, check_secret
from webhooks.validation import GENERATE, MAX_RATE_LIMIT, checked_url

KEEP, NONE, TYPED = "keep", "none", "typed"
ORDERINGS = (
    (Ordering.PER_LEAD, _("In order for each lead")),
    (Ordering.STRICT, _("All in order, one after the other")),
    (Ordering.NONE, _("In any order")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChoice:
    """One of the nine events as a checkbox; `scope` is the one that the key lacks for it, `needs` its name.

    `wrong` marks what the field's error is about. `offer` stands below the last event that needs the same scope.
    """

    type: EventType
    fires_when: str
    ticked: bool
    scope: str
    needs: str
    wrong: bool
    offer: "Offer | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A scope that the key lacks, to be ticked in the same save."""

    scope: str
    title: str
    noun: str
    ticked: bool


class WebhookForm(PlainForm):
    """URL, events, secret (`secret_choice` says how, and depends on whether there is one), order, rate, headers.

    `grant` are scopes for the key to get in the same save; `base` is what was saved when the form was made.
    """

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    base = forms.CharField(required=False, widget=forms.HiddenInput)
    grant = forms.MultipleChoiceField(
        required=False, choices=[(scope, scope) for scope in dict.fromkeys(map(needed_scope, EventType))]
    )
    url = forms.CharField(
        label=_("URL"),
        max_length=2000,
        widget=forms.URLInput(
            attrs={"placeholder": "https://", "autocomplete": "off", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("Your endpoint. Calliyo POSTs each event to it as JSON."),
        error_messages={
            "required": _("Give the URL that shall receive the events, beginning with https://.")
        },
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(event.value, event.value) for event in EventType],
        error_messages={"required": _("Tick at least one event.")},
    )
    secret = forms.CharField(
        label=_("Your secret"),
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("At least 16 characters; the receiver needs the same."),
    )
    ordering = forms.ChoiceField(
        label=_("Order"), choices=ORDERINGS, help_text=_("Whether events wait for each other.")
    )
    rate_limit = forms.IntegerField(
        label=_("Deliveries a minute, at most"),
        required=False,
        min_value=1,
        max_value=MAX_RATE_LIMIT,
        help_text=_("What comes faster waits its turn. Empty: no limit."),
        error_messages=number_errors(_("Write a number from 1 to {most}, or nothing."), MAX_RATE_LIMIT),
    )
    headers = forms.CharField(
        label=_("Headers that are sent along"),
        required=False,
        max_length=12_000,
        widget=forms.Textarea(
            attrs={
                "rows": 3,
                "autocomplete": "off",
                "spellcheck": "false",
                "placeholder": "X-Source: calliyo",
            }
        ),
        help_text=_("One a line, at most ten. A saved value shows as (hidden), and stays while it says so."),
    )
    skip_own = forms.BooleanField(
        label=_(
            "Skip the changes that this key made itself, so that two systems in step never echo each other"
        ),
        required=False,
    )

    def __init__(self, *args: Any, key: APIKey, webhook: Webhook | None = None, **kwargs: Any) -> None:
        initial = kwargs.setdefault("initial", _saved(webhook))
        super().__init__(*args, **kwargs)
        if self.is_bound and "headers" not in self.data:
            # They do not travel through a login (`pages.held`); not to be sent is not to be emptied.
            typed = cast("QueryDict", self.data).copy()
            typed["headers"] = initial.get("headers", "")
            self.data = typed
        self.key = key
        self.webhook = webhook
        choices = _secret_choices(has_secret=bool(webhook and webhook.secret))
        self.fields["secret_choice"] = forms.ChoiceField(
            label=_("Secret"), widget=forms.RadioSelect, choices=choices
        )

    def event_choices(self) -> list[EventChoice]:
        """The nine events with the product page's words."""
        ticked: Collection[str] = self["events"].value() or ()
        refused = bool(self["events"].errors)
        missing = events_without_scope(list(CATALOGUE), self.key.scopes)
        last = {needed_scope(event): event for event in missing}
        return [
            EventChoice(
                type=kind.type,
                fires_when=gettext(kind.fires_when),
                ticked=kind.type in ticked,
                scope=kind.scope if kind.type in missing else "",
                needs=titled(kind.scope) if kind.type in missing else "",
                wrong=refused and (not ticked or (kind.type in ticked and kind.type in missing)),
                offer=self._offer(kind.scope) if last.get(kind.scope) == kind.type else None,
            )
            for kind in CATALOGUE.values()
        ]

    def _offer(self, scope: str) -> Offer:
        granted: Collection[str] = self["grant"].value() or ()
        return Offer(scope=scope, title=titled(scope), noun=seen_with(scope), ticked=scope in granted)

    @property
    def has_more(self) -> bool:
        """Whether what is folded away holds anything that is not as it is for everybody, or is wrong."""
        names = ("ordering", "rate_limit", "headers", "skip_own")
        plain = (str(Ordering.PER_LEAD), "", None, False)
        return any(self[name].errors or self[name].value() not in plain for name in names)

    def clean_url(self) -> str:
        """Refuses, with the others' errors at once, what can't work."""
        try:
            return checked_url(self.cleaned_data["url"])
        except DomainError as error:
            raise forms.ValidationError(error.detail) from error

    def clean_events(self) -> list[str]:
        """Refuses an event that the key may not hear of, in words that say which scope it lacks."""
        events: list[str] = self.cleaned_data["events"]
        scopes = [*self.key.scopes, *self.cleaned_data.get("grant", ())]
        refused = [
            gettext("%(event)s needs the scope %(scope)s. Tick it below the event, or leave the event out.")
            % {"event": event, "scope": titled(needed_scope(event))}
            for event in events_without_scope(events, scopes)
        ]
        if refused:
            raise forms.ValidationError(refused)
        return events

    def clean_headers(self) -> dict[str, str]:
        """The headers by name; refuses a line that is none, and what Calliyo sets itself."""
        try:
            return headers_typed(self.cleaned_data["headers"], self._headers_known())
        except DomainError as error:
            raise forms.ValidationError(error.detail) from error

    def _headers_known(self) -> Collection[str]:
        """Whose values may come back hidden. A form that is out of date is not saved: it names what it was shown."""
        if self.webhook is None:
            return []
        if self.cleaned_data.get("version") == self.webhook.version:
            return header_names(self.webhook)
        return [line.partition(":")[0].strip() for line in self.cleaned_data["headers"].splitlines()]

    def clean(self) -> dict[str, Any]:
        """Asks for the secret where one was to be typed."""
        data = super().clean() or {}
        if data.get("secret_choice") == TYPED and "secret" not in self.errors:
            self._check_secret(data["secret"])
        return data

    def _check_secret(self, secret: str) -> None:
        if not secret:
            self.add_error("secret", _("Type the secret, or choose another way."))
            return
        try:
            check_secret(secret)
        except InvalidSecret as error:
            self.add_error("secret", error.detail)

    def changes(self) -> dict[str, Any]:
        """What `subscribe` and `change_webhook` take, without the secret."""
        names = ["url", "events", "ordering", "skip_own", "rate_limit"]
        if self.typed()["headers"] != (headers_shown(self.webhook) if self.webhook else ""):
            names.append("headers")
        return {name: self.cleaned_data[name] for name in names}

    def typed(self) -> dict[str, Any]:
        """The fields as `webhook_changes.picture` has them."""
        data = self.cleaned_data
        headers = "\n".join(f"{name}: {value}" for name, value in data["headers"].items())
        return {
            **{name: data[name] for name in ("url", "events", "ordering", "skip_own", "rate_limit")},
            "headers": headers,
        }

    def granted(self, key: APIKey) -> list[Scope]:
        """The scopes that `key` gets with this save: ticked, needed by a ticked event, and not there yet."""
        needed = {needed_scope(EventType(event)) for event in self.cleaned_data["events"]}
        return [
            scope
            for scope in in_order(self.cleaned_data["grant"])
            if scope in needed and scope not in key.scopes
        ]

    def keeps_secret(self) -> bool:
        """Whether the secret stays what it is."""
        return bool(self.cleaned_data["secret_choice"] == KEEP)

    def generates_secret(self) -> bool:
        """Whether the answer has a new secret to show."""
        return bool(self.cleaned_data["secret_choice"] == GENERATE)

    def new_secret(self) -> str | None:
        """What operations take as `secret`: the typed text, the word for a generated one, None for none."""
        choice = self.cleaned_data["secret_choice"]
        return {GENERATE: GENERATE, TYPED: self.cleaned_data["secret"]}.get(choice)


def _saved(webhook: Webhook | None) -> dict[str, Any]:
    if webhook is None:
        return {"secret_choice": GENERATE, "ordering": Ordering.PER_LEAD}
    return {
        "version": webhook.version,
        "url": webhook.url,
        "events": webhook.events,
        "secret_choice": KEEP if webhook.secret else NONE,
        "ordering": webhook.ordering,
        "skip_own": webhook.skip_own,
        "rate_limit": webhook.rate_limit,
        "headers": headers_shown(webhook),
        "base": as_text(picture(webhook)),
    }


def _secret_choices(*, has_secret: bool) -> list[tuple[str, Any]]:
    keep = [(KEEP, _("Keep the secret that it has"))] if has_secret else []
    generate = (
        _("Generate a new one; the old one signs too for 24 hours") if has_secret else _("Generate one")
    )
    return [*keep, (GENERATE, generate), (TYPED, _("Type my own")), (NONE, _("None: events are not signed"))]
