"""The words of the scopes: nine resources, read or write, thirteen scopes in the product page's order."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext_noop


class Resource(StrEnum):
    """What a key may be let at, spelled as its path under `/public/`."""

    LEADS = "leads"
    CUSTOMERS = "customers"
    USERS = "users"
    LEAD_STATUSES = "lead-statuses"
    TAGS = "tags"
    FOLLOW_UPS = "follow-ups"
    NOTES = "notes"
    CALLS = "calls"
    CAMPAIGNS = "campaigns"


class Access(StrEnum):
    READ = "read"
    WRITE = "write"


class Scope(StrEnum):
    """`<resource>:<access>`. Write does not imply read, and what has no member here cannot be granted."""

    LEADS_READ = "leads:read"
    LEADS_WRITE = "leads:write"
    CUSTOMERS_READ = "customers:read"
    USERS_READ = "users:read"
    LEAD_STATUSES_READ = "lead-statuses:read"
    TAGS_READ = "tags:read"
    TAGS_WRITE = "tags:write"
    FOLLOW_UPS_READ = "follow-ups:read"
    FOLLOW_UPS_WRITE = "follow-ups:write"
    NOTES_READ = "notes:read"
    NOTES_WRITE = "notes:write"
    CALLS_READ = "calls:read"
    CAMPAIGNS_READ = "campaigns:read"


# The resources' names on the product page, for people.
RESOURCE_TITLES: Final[dict[Resource, str]] = {
    Resource.LEADS: gettext_noop("Leads"),
    Resource.CUSTOMERS: gettext_noop("Customers"),
    Resource.USERS: gettext_noop("Users / Agents"),
    Resource.LEAD_STATUSES: gettext_noop("Lead statuses"),
    Resource.TAGS: gettext_noop("Tags"),
    Resource.FOLLOW_UPS: gettext_noop("Follow-ups"),
    Resource.NOTES: gettext_noop("Notes"),
    Resource.CALLS: gettext_noop("Call history"),
    Resource.CAMPAIGNS: gettext_noop("Campaigns"),
}

_BY_PARTS: Final = {tuple(scope.value.split(":")): scope for scope in Scope}


def scope_for(resource: Resource, access: Access) -> Scope | None:
    """The scope that `access` to `resource` needs; None where the product has no such scope."""
    return _BY_PARTS.get((resource.value, access.value))


def in_order(scopes: Iterable[str]) -> list[Scope]:
    """The scopes named by `scopes`, each once, in the product page's order.

    Raises ValueError for a word that is no scope.
    """
    wanted = {Scope(scope) for scope in scopes}
    return [scope for scope in Scope if scope in wanted]
