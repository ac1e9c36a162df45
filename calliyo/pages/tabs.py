"""The tabs of the Settings, in their order. Only those that lead somewhere are listed."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    slug: str
    title: str | Promise


TABS: dict[str, Tab] = {tab.slug: tab for tab in (Tab(slug="api", title=_("API")),)}
