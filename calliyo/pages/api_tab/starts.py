"""Starting points for a key: a name and the scopes that such a system needs. They only suggest."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apikeys.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One starting point; `slug` stands for it in the address."""

    slug: str
    name: str
    purpose: str | Promise
    scopes: tuple[Scope, ...]


STARTS: dict[str, Start] = {
    start.slug: start
    for start in (
        Start(
            slug="zoho",
            name="Zoho production",
            purpose=_(
                "Keeps another CRM in step: reads and writes leads, adds notes, reads statuses, tags and agents."
            ),
            scopes=(
                Scope.LEADS_READ,
                Scope.LEADS_WRITE,
                Scope.USERS_READ,
                Scope.LEAD_STATUSES_READ,
                Scope.TAGS_READ,
                Scope.NOTES_WRITE,
            ),
        ),
        Start(
            slug="looker",
            name="Internal Looker",
            purpose=_("Feeds a dashboard: reads everything, changes nothing."),
            scopes=tuple(scope for scope in Scope if scope.endswith(":read")),
        ),
        Start(
            slug="form",
            name="Marketing form",
            purpose=_("Sends new leads in from a web page, and cannot see a single one."),
            scopes=(Scope.LEADS_WRITE,),
        ),
    )
}
