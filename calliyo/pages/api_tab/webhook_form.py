"""The form of one webhook, new or existing: it reads what was typed; the rules live in `webhooks.operations`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apikeys.models import APIKey
from calliyo.errors import DomainError
from calliyo.pages.api_tab.forms import PlainForm
from calliyo.pages.api_tab.health import events_without_scope
from calliyo.pages.wording import titled
from webhooks.catalogue import CATALOGUE, EventType, needed_scope
from webhooks.models import Ordering, Webhook
from webhooks.secrets import InvalidSecret, check_secret
from webhooks.validation import GENERATE, checked_url

KEEP, NONE, TYPED = "keep", "none", "typed"
ORDERINGS = (
    (Ordering.PER_LEAD, _("In order for each lead")),
    (Ordering.STRICT, _("All in order, one after the other")),
    (Ordering.NONE, _("In any order")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChoice:
    """One of the nine events as a checkbox; `needs` names the scope that the key lacks for it.

    `wrong` marks what the field's error is about.
    """

    type: EventType
    fires_when: str
    ticked: bool
    needs: str
    wrong: bool


class WebhookForm(PlainForm):
    """URL, events, secret (`secret_choice` says how, and depends on whether there is one), order."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
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
    ordering = forms.ChoiceField(label=_("Order"), choices=ORDERINGS)
    skip_own = forms.BooleanField(
        label=_(
            "Skip the changes that this key made itself, so that two systems in step never echo each other"
        ),
        required=False,
    )

    def __init__(self, *args: Any, key: APIKey, webhook: Webhook | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("initial", _saved(webhook))
        super().__init__(*args, **kwargs)
        self.key = key
        choices = _secret_choices(has_secret=bool(webhook and webhook.secret))
        self.fields["secret_choice"] = forms.ChoiceField(
            label=_("Secret"), widget=forms.RadioSelect, choices=choices
        )

    def event_choices(self) -> list[EventChoice]:
        """The nine events with the product page's words."""
        ticked: Collection[str] = self["events"].value() or ()
        refused = bool(self["events"].errors)
        missing = events_without_scope(list(CATALOGUE), self.key.scopes)
        return [
            EventChoice(
                type=kind.type,
                fires_when=gettext(kind.fires_when),
                ticked=kind.type in ticked,
                needs=titled(kind.scope) if kind.type in missing else "",
                wrong=refused and (not ticked or (kind.type in ticked and kind.type in missing)),
            )
            for kind in CATALOGUE.values()
        ]

    def clean_url(self) -> str:
        """Refuses, with the others' errors at once, what can't work."""
        try:
            return checked_url(self.cleaned_data["url"])
        except DomainError as error:
            raise forms.ValidationError(error.detail) from error

    def clean_events(self) -> list[str]:
        """Refuses an event that the key may not hear of, in words that say which scope it lacks."""
        events: list[str] = self.cleaned_data["events"]
        refused = [
            gettext("%(event)s needs the scope %(scope)s. Tick it under Scopes first.")
            % {"event": event, "scope": titled(needed_scope(event))}
            for event in events_without_scope(events, self.key.scopes)
        ]
        if refused:
            raise forms.ValidationError(refused)
        return events

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
        return {name: self.cleaned_data[name] for name in ("url", "events", "ordering", "skip_own")}

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
    }


def _secret_choices(*, has_secret: bool) -> list[tuple[str, Any]]:
    keep = [(KEEP, _("Keep the secret that it has"))] if has_secret else []
    generate = (
        _("Generate a new one; the old one signs too for 24 hours") if has_secret else _("Generate one")
    )
    return [*keep, (GENERATE, generate), (TYPED, _("Type my own")), (NONE, _("None: events are not signed"))]
