"""The audit as people read it: who did what to which key or webhook, newest first, a page at a time."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, gettext_lazy, ngettext

from apikeys.models import APIKey, AuditEntry
from apikeys.scopes import Scope
from calliyo.pages.api_tab.forms import end_in_words
from calliyo.pages.wording import brief, listed, titled

PAGE = 20
_PLAIN = {
    "api_key.activated": gettext_lazy("activated the key"),
    "api_key.deactivated": gettext_lazy("deactivated the key"),
    "api_key.deleted": gettext_lazy("deleted the key"),
    "webhook.secret_rotated": gettext_lazy("gave a webhook a new secret"),
    "webhook.secret_revealed": gettext_lazy("looked at the secret of a webhook"),
    "webhook.turned_on": gettext_lazy("turned a webhook on"),
    "webhook.turned_off": gettext_lazy("turned a webhook off"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One entry. `did` follows the name of who did it: "changed what it can do: added Tags read"."""

    at: datetime
    who: str
    did: str
    key_id: int
    key_name: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some entries; `older` is the place from which the next page goes on, None at the end."""

    lines: list[AuditLine]
    older: int | None
    is_first: bool


def audit_page(before: int | None = None) -> AuditPage:
    """The newest entries, or those older than the entry `before`; one query, however much there is."""
    entries = AuditEntry.objects.all() if before is None else AuditEntry.objects.filter(pk__lt=before)
    found = list(entries[: PAGE + 1])
    older = found[PAGE - 1].pk if len(found) > PAGE else None
    return AuditPage(lines=[_line(entry) for entry in found[:PAGE]], older=older, is_first=before is None)


def changes_since(key: APIKey, version: int) -> list[AuditLine]:
    """What was done to the key itself after this version of it; each of its changes is a version and an entry."""
    count = min(max(key.version - version, 1), PAGE)
    entries = AuditEntry.objects.filter(api_key_id=key.pk, action__startswith="api_key.")
    return [_line(entry) for entry in entries[:count]]


def _line(entry: AuditEntry) -> AuditLine:
    return AuditLine(
        at=entry.at,
        who=entry.actor_name or entry.actor_type,
        did=_did(entry.action, entry.data),
        key_id=entry.api_key_id,
        key_name=entry.api_key_name,
        request_id=entry.request_id,
    )


def _did(action: str, data: Mapping[str, Any]) -> str:
    if action in _PLAIN:
        return str(_PLAIN[action])
    match action:
        case "api_key.created":
            return gettext("created the key: %(scopes)s") % {"scopes": _scopes(data.get("scopes", ()))}
        case "api_key.regenerated":
            return gettext("regenerated the token, now %(prefix)s…") % {"prefix": data["prefix"]["to"]}
        case "api_key.renamed":
            return gettext("renamed the key, before “%(name)s”") % {"name": data["name"]["from"]}
        case "api_key.scopes_changed":
            return gettext("changed what the key can do: %(changes)s") % {"changes": _ticks(data["scopes"])}
        case "api_key.expiry_changed" | "api_key.limits_changed":
            return gettext("changed the limits: %(changes)s") % {"changes": "; ".join(_limits(data))}
    return _did_to_webhook(action, data)


def _did_to_webhook(action: str, data: Mapping[str, Any]) -> str:
    where = {"host": data.get("host", ""), "event": data.get("event", "")}
    match action:
        case "webhook.created":
            return gettext("added a webhook to %(host)s") % where
        case "webhook.deleted":
            return gettext("deleted the webhook to %(host)s") % where
        case "webhook.changed":
            fields = ", ".join(data.get("fields", ()))
            return gettext("changed a webhook: %(fields)s") % {"fields": fields}
        case "webhook.tested":
            return gettext("sent a test event, %(event)s") % where
        case "webhook.replayed":
            count = data.get("events", 0)
            return ngettext("sent %(count)d event again", "sent %(count)d events again", count) % {
                "count": count
            }
    return action  # one that is newer than these words


def _scopes(scopes: Collection[str]) -> str:
    told = brief(scopes)
    return ", ".join(filter(None, (told.headline, told.rest))) if scopes else gettext("no scope")


def _titles(scopes: Collection[str]) -> Iterable[str]:
    """The scopes by the table's words, in its order."""
    return [titled(scope) for scope in Scope if scope in scopes]


def _ticks(change: Mapping[str, Collection[str]]) -> str:
    before, after = set(change["from"]), set(change["to"])
    told = []
    if after - before:
        added = listed(_titles(after - before), gettext("and"))
        told.append(gettext("added %(scopes)s") % {"scopes": added})
    if before - after:
        removed = listed(_titles(before - after), gettext("and"))
        told.append(gettext("removed %(scopes)s") % {"scopes": removed})
    return "; ".join(told)


def _limits(data: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    names = {
        "expires_at": gettext("expiry"),
        "rate_limit": gettext("requests a minute"),
        "allowed_addresses": gettext("allowed addresses"),
        "allowed_origins": gettext("allowed origins"),
        "manage_webhooks": gettext("manages its own webhooks"),
    }
    for name, change in data.items():
        yield gettext("%(limit)s %(from)s → %(to)s") % {
            "limit": names.get(name, name),
            "from": _limit(name, change["from"]),
            "to": _limit(name, change["to"]),
        }


def _limit(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(value) or gettext("any")
    if name == "expires_at":
        moment = parse_datetime(value) if value else None
        return end_in_words(moment) if moment else gettext("never")
    return gettext("default") if value is None else str(value)
