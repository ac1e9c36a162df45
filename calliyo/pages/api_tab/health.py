"""The state of a key and of a webhook as a dot's tone and a word: the word alone must be enough."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext

from apikeys.models import APIKey
from webhooks.catalogue import CATALOGUE, EventType, needed_scope
from webhooks.models import Health, OffReason, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`tone` is `good`, `warn`, `bad` or `off`; `why` says more, where there is more to say."""

    tone: str
    word: str
    why: str = ""


_GRAVITY = ("bad", "warn", "good", "off")


def key_state(key: APIKey, now: datetime) -> State:
    """Whether the key's token is accepted now."""
    if key.expired(now):
        return State(tone="bad", word=gettext("Expired"))
    if not key.active:
        return State(tone="off", word=gettext("Deactivated"))
    return State(tone="good", word=gettext("Active"))


def webhook_state(webhook: Webhook, key: APIKey, health: str | None, now: datetime) -> State:
    """Whether the webhook's events go out now; `health` is the engine's word, none before its first delivery."""
    if not webhook.active:
        return _off(webhook)
    if not key.active or key.expired(now):
        return State(
            tone="off", word=gettext("Paused"), why=gettext("Deliveries wait until the key is active again.")
        )
    if events_without_scope(webhook.events, key.scopes):
        return State(
            tone="warn", word=gettext("Scope missing"), why=gettext("Struck-out events are not sent.")
        )
    if health == Health.DOWN:
        return State(
            tone="bad", word=gettext("Not answering"), why=gettext("Deliveries are kept and tried again.")
        )
    if health == Health.SLOWED:
        return State(
            tone="warn", word=gettext("Slowed down"), why=gettext("The receiver asked for a slower pace.")
        )
    return State(tone="good", word=gettext("Delivering"))


def gravest(states: Collection[State]) -> State | None:
    """The one of several states that a person should hear of first."""
    return min(states, key=lambda state: _GRAVITY.index(state.tone), default=None)


def events_without_scope(events: Collection[str], scopes: Collection[str]) -> list[EventType]:
    """Those of `events` that a key with these scopes may not hear of, in the catalogue's order."""
    return [event for event in CATALOGUE if event in events and needed_scope(event) not in scopes]


def _off(webhook: Webhook) -> State:
    if webhook.off_reason == OffReason.GONE:
        return State(
            tone="bad",
            word=gettext("Turned off"),
            why=gettext("The receiver answered 410: it wants no more events."),
        )
    if webhook.off_reason == OffReason.FAILING:
        return State(tone="bad", word=gettext("Turned off"), why=gettext("No success for five days."))
    return State(
        tone="off", word=gettext("Off"), why=gettext("Turned off by hand: new events are not queued.")
    )
