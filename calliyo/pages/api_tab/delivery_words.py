"""A delivery in the words of the list: what came of it, how long it took, and what happens next. Pure: no database."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext

from calliyo.pages.api_tab.health import State
from webhooks.catalogue import EventType
from webhooks.delivery.sentences import translated
from webhooks.delivery_log import Filters
from webhooks.models import Delivery, DeliveryState

_TONES = {
    DeliveryState.DELIVERED: "good",
    DeliveryState.WAITING: "off",
    DeliveryState.FAILED: "bad",
    DeliveryState.MISSED: "warn",
    DeliveryState.WITHHELD: "warn",
    DeliveryState.CANCELLED: "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why nothing of a webhook is sent now: in words, or until when its endpoint is left alone."""

    words: str = ""
    until: datetime | None = None


def state_word(state: DeliveryState) -> str:
    """The outcome as the filter and the list name it."""
    return {
        DeliveryState.DELIVERED: gettext("Delivered"),
        DeliveryState.WAITING: gettext("Waiting"),
        DeliveryState.FAILED: gettext("Failed"),
        DeliveryState.MISSED: gettext("Missed"),
        DeliveryState.WITHHELD: gettext("Withheld"),
        DeliveryState.CANCELLED: gettext("Cancelled"),
    }[state]


def outcome_of(delivery: Delivery) -> State:
    """What came of it so far, and what that means where the word alone does not tell."""
    state = DeliveryState(delivery.state)
    if state is DeliveryState.WAITING and delivery.last_error:
        return State(tone="warn", word=gettext("Trying again"), why=sentence(delivery.last_error))
    why = {
        DeliveryState.FAILED: sentence(delivery.last_error),
        DeliveryState.MISSED: sentence(delivery.last_error) or gettext("The webhook was off."),
        DeliveryState.WITHHELD: gettext("The key had lost the scope that this event needs."),
        DeliveryState.CANCELLED: gettext("The event was no longer wanted."),
    }.get(state, "")
    return State(tone=_TONES[state], word=state_word(state), why=why)


def next_attempt(delivery: Delivery, hold: Hold, now: datetime) -> str:
    """When it is tried next, in words; nothing for one that has ended."""
    if delivery.state != DeliveryState.WAITING or delivery.next_attempt_at is None:
        return ""
    if hold.words:
        return hold.words
    due = max(delivery.next_attempt_at, hold.until or delivery.next_attempt_at)
    return gettext("due now") if due <= now else gettext("in %(time)s") % {"time": span_words(due - now)}


def span_words(span: timedelta) -> str:
    """A span as one says it: 48 s, 5 min, 2 h 10 min, 3 days."""
    seconds = int(span.total_seconds())
    if seconds < 90:
        return gettext("%(count)d s") % {"count": max(1, seconds)}
    minutes = round(seconds / 60)
    if minutes < 120:
        return gettext("%(count)d min") % {"count": minutes}
    hours = round(minutes / 60)
    if hours < 48:
        return gettext("%(count)d h") % {"count": hours}
    days = round(hours / 24)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def duration_words(milliseconds: float | None) -> str:
    """How long something took: 84 ms, 1.2 s, 15 s; nothing where nobody knows."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return gettext("%(ms)s ms") % {
            "ms": f"{milliseconds:.1f}" if 0 < milliseconds < 10 else round(milliseconds)
        }
    seconds = milliseconds / 1000
    return gettext("%(seconds)s s") % {"seconds": f"{seconds:.1f}" if seconds < 10 else round(seconds)}


def clock_words(moment: datetime, now: datetime) -> str:
    """A moment of a log, short: the time of today, with the day for others; in the current time zone."""
    here, today = localtime(moment), localtime(now).date()
    if here.date() == today:
        return date_format(here, "H:i:s")
    return date_format(here, "j M, H:i" if here.year == today.year else "j M Y, H:i")


def filter_words(filters: Filters) -> str:
    """What is looked for: “failed, lead.created, lead 1041”."""
    lead = gettext("lead %(lead)s") % {"lead": filters.lead} if filters.lead else ""
    outcome = state_word(filters.outcome).lower() if filters.outcome else ""
    return ", ".join(filter(None, [outcome, EventType(filters.event).value if filters.event else "", lead]))


def sentence(words: str) -> str:
    """An error of the log as a sentence of its own, in the reader's language."""
    told = translated(words)
    return f"{told[0].upper()}{told[1:]}." if told else ""
