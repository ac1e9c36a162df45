"""What a key can do and when something was, in the words that a person reads. Pure: no database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.timezone import localtime
from django.utils.translation import gettext

from apikeys.scopes import RESOURCE_TITLES, Access, Resource, Scope, scope_for

READ_SCOPES = frozenset(scope for scope in Scope if scope.endswith(":read"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A key's scopes for one cell of the list: the most telling line, and the rest in small."""

    headline: str
    rest: str = ""


def titled(scope: str) -> str:
    """A scope as the Scopes table says it: `leads:read` is "Leads read"."""
    resource, _, access = scope.partition(":")
    return f"{gettext(RESOURCE_TITLES[Resource(resource)])} {_access_word(access)}"


def seen_with(scope: str) -> str:
    """What a key with this read scope can see: "follow-ups"."""
    return _noun(Resource(scope.partition(":")[0]))


def access_title(scope: str) -> str:
    """The column of the Scopes table that a scope is in: "Read"."""
    return gettext("Read") if scope.endswith(":read") else gettext("Write")


def brief(scopes: Collection[str]) -> Brief:
    """The scopes in a few words: "Leads read·write", with "Tags read, Notes write" under it."""
    if not scopes:
        return Brief(headline=gettext("Nothing yet"), rest=gettext("no scope is ticked"))
    if set(scopes) == set(Scope):
        return Brief(headline=gettext("Everything, read and write"))
    if set(scopes) == READ_SCOPES:
        return Brief(headline=gettext("Everything, read only"))
    if set(scopes) == {Scope.LEADS_WRITE}:
        return Brief(headline=titled(Scope.LEADS_WRITE), rest=gettext("cannot see any lead"))
    first, *rest = [_resource_brief(resource, scopes) for resource in Resource if _accesses(resource, scopes)]
    return Brief(headline=first, rest=", ".join(rest))


def sentences(scopes: Collection[str]) -> list[str]:
    """What these scopes allow and what they don't: "Can see, create and change leads. Cannot see customers."."""
    if not scopes:
        return [gettext("Can do nothing: without a scope every request is refused.")]
    lines = [gettext("Can %(what)s.") % {"what": "; ".join(_abilities(scopes))}]
    hidden = [_noun(r) for r in Resource if scope_for(r, Access.READ) not in scopes]
    if hidden:
        lines.append(gettext("Cannot see %(what)s.") % {"what": listed(hidden, gettext("or"))})
    if set(scopes) <= READ_SCOPES:
        lines.append(gettext("Cannot change anything."))
    return lines


def spoken(moment: datetime, now: datetime) -> str:
    """A past moment as one would say it at `now`, in the current time zone."""
    age = now - moment
    if timedelta(minutes=-1) < age < timedelta(minutes=1):
        return gettext("just now")
    if timedelta() < age < timedelta(hours=1):
        return gettext("%(minutes)d min ago") % {"minutes": age // timedelta(minutes=1)}
    here, today = localtime(moment), localtime(now).date()
    clock = date_format(here, "H:i")
    if here.date() == today:
        return gettext("today %(clock)s") % {"clock": clock}
    if here.date() == today - timedelta(days=1):
        return gettext("yesterday %(clock)s") % {"clock": clock}
    return date_format(here, "j M" if here.year == today.year else "j M Y")


def exact(moment: datetime) -> str:
    """A moment to the second with its zone, in the current time zone: "24 Nov 2026, 22:48:22 IST"."""
    return date_format(localtime(moment), "j M Y, H:i:s T")


def stopping(events: Collection[str], url: str) -> str:
    """Says that these events will no longer be sent to `url`."""
    return gettext("%(events)s will stop at %(url)s.") % {
        "events": listed(events, gettext("and")),
        "url": url,
    }


def _abilities(scopes: Collection[str]) -> Iterable[str]:
    """One phrase for each set of resources that are let at alike, in the table's order."""
    groups: dict[str, list[str]] = {}
    for resource in Resource:
        verbs = _verbs(resource, _accesses(resource, scopes))
        if verbs:
            groups.setdefault(verbs, []).append(_noun(resource))
    for verbs, nouns in groups.items():
        yield verbs % {"what": listed(nouns, gettext("and"))}


def _verbs(resource: Resource, accesses: Collection[Access]) -> str:
    if resource is Resource.LEADS and Access.WRITE in accesses:
        # A lead is never deleted from outside; without reading, not even changed.
        seen = Access.READ in accesses
        return (
            gettext("see, create and change %(what)s") if seen else gettext("add %(what)s without seeing any")
        )
    if set(accesses) == {Access.READ, Access.WRITE}:
        return gettext("see, create, change and delete %(what)s")
    if set(accesses) == {Access.WRITE}:
        return gettext("create, change and delete %(what)s without seeing them")
    return gettext("see %(what)s") if accesses else ""


def _accesses(resource: Resource, scopes: Collection[str]) -> list[Access]:
    return [access for access in Access if scope_for(resource, access) in scopes]


def _resource_brief(resource: Resource, scopes: Collection[str]) -> str:
    accesses = "·".join(_access_word(access) for access in _accesses(resource, scopes))
    return f"{gettext(RESOURCE_TITLES[resource])} {accesses}"


def _access_word(access: str) -> str:
    return gettext("read") if access == Access.READ else gettext("write")


def _noun(resource: Resource) -> str:
    return {
        Resource.LEADS: gettext("leads"),
        Resource.CUSTOMERS: gettext("customers"),
        Resource.USERS: gettext("users"),
        Resource.LEAD_STATUSES: gettext("lead statuses"),
        Resource.TAGS: gettext("tags"),
        Resource.FOLLOW_UPS: gettext("follow-ups"),
        Resource.NOTES: gettext("notes"),
        Resource.CALLS: gettext("calls"),
        Resource.CAMPAIGNS: gettext("campaigns"),
    }[resource]


def listed(words: Iterable[str], last: str) -> str:
    """Words in a row, the last two joined by `last`: "leads, tags and notes"."""
    return str(get_text_list(list(words), last))
