"""Two admins on one webhook: what the other one changed, in words, and both changes brought together.

A form carries what was saved when it was made (`picture`). Where the webhook has moved on, each field that its sender
left alone takes what is saved now, and what both changed is told: nothing is overwritten that nobody has seen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from django.http import QueryDict
from django.utils.translation import gettext

from calliyo.pages.api_tab.webhook_headers import headers_shown
from webhooks.models import Webhook

Picture = dict[str, Any]
_FIELDS: Final = ("url", "events", "ordering", "skip_own", "rate_limit", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The form to show or to save: its fields, and what somebody else changed, a sentence each."""

    data: QueryDict
    told: Sequence[str]


def picture(webhook: Webhook) -> Picture:
    """What a form of this webhook shows, and marks that tell one hidden value from another."""
    return {
        "url": webhook.url,
        "events": webhook.events,
        "ordering": webhook.ordering,
        "skip_own": webhook.skip_own,
        "rate_limit": webhook.rate_limit,
        "headers": headers_shown(webhook),
        "active": webhook.active,
        "marks": {"headers": _mark(webhook.headers), "secret": _mark(webhook.secret)},
    }


def as_text(shown: Picture) -> str:
    """A picture as a hidden field carries it."""
    return json.dumps(shown, separators=(",", ":"))


def merged(sent: QueryDict, typed: Mapping[str, Any], webhook: Webhook) -> Merged:
    """What was sent (`typed`: its fields as values), brought together with what is saved now."""
    before, now = _picture_sent(sent.get("base", "")), picture(webhook)
    data, told = sent.copy(), []
    for name in _FIELDS:
        if name in before and before[name] == now[name] and _marked_alike(name, before, now):
            continue
        if typed.get(name) == now[name] and name != "headers":
            continue
        said = _said(name, before.get(name), now[name])
        if name in before and typed.get(name) == before[name]:
            _set(data, name, now[name])
            told.append(said)
        else:
            told.append(
                gettext("%(change)s What you entered replaces that if you save again.") % {"change": said}
            )
    told += _other_changes(before, now)
    told = told or [gettext("Nothing that you see here has changed. Save again.")]
    data["version"], data["base"] = str(webhook.version), as_text(now)
    return Merged(data=data, told=told)


def _said(name: str, before: Any, now: Any) -> str:
    """What a field of the form is now."""
    match name:
        case "url":
            return gettext("The URL is now %(url)s.") % {"url": now}
        case "events":
            return _events_words(before, now)
        case "ordering":
            return gettext("The order was changed.")
        case "skip_own":
            skips = gettext("It now skips the changes of its own key.")
            return skips if now else gettext("It no longer skips the changes of its own key.")
        case "rate_limit":
            limit = gettext("The rate limit is now %(count)s a minute.") % {"count": now}
            return limit if now else gettext("It has no rate limit any more.")
        case _:
            return gettext("Its headers were changed.")


def _other_changes(before: Picture, now: Picture) -> list[str]:
    told = []
    if not _marked_alike("secret", before, now):
        told.append(gettext("The secret was changed."))
    if before.get("active", now["active"]) != now["active"]:
        told.append(gettext("It was turned on.") if now["active"] else gettext("It was turned off."))
    return told


def _marked_alike(name: str, before: Picture, now: Picture) -> bool:
    marks = before.get("marks")
    return isinstance(marks, dict) and marks.get(name) == now["marks"].get(name)


def _picture_sent(text: str) -> Picture:
    """What a browser gave back; a person may have written anything there, and harms only his own form."""
    try:
        shown = json.loads(text)
    except ValueError:
        return {}
    return shown if isinstance(shown, dict) else {}


def _set(data: QueryDict, name: str, value: Any) -> None:
    if isinstance(value, list):
        data.setlist(name, value)
    elif isinstance(value, bool):
        data.setlist(name, ["on"] if value else [])
    else:
        data[name] = "" if value is None else str(value)


def _events_words(before: Any, now: Sequence[str]) -> str:
    known = [each for each in before if isinstance(each, str)] if isinstance(before, list) else []
    added = ", ".join(each for each in now if each not in known)
    removed = ", ".join(each for each in known if each not in now)
    if added and removed:
        return gettext("Events were ticked (%(added)s) and unticked (%(removed)s).") % {
            "added": added,
            "removed": removed,
        }
    if added:
        return gettext("Events were ticked: %(added)s.") % {"added": added}
    return gettext("Events were unticked: %(removed)s.") % {"removed": removed}


def _mark(stored: str) -> str:
    return sha256(stored.encode()).hexdigest()[:16] if stored else ""
