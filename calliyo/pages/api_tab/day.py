"""The last 24 hours of webhooks for their cards: a few numbers and a plot, in two queries for all of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext

from calliyo.pages.api_tab.delivery_words import duration_words
from calliyo.pages.api_tab.plot import Plot, plot_of
from webhooks.delivery_log import COUNTED, waiting_of
from webhooks.last_day import LastDay, last_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number and what it counts; `tone` where it is bad news."""

    number: str
    words: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The last day of one webhook: no tiles where nothing happened and nothing waits.

    `gave_up` says how many deliveries had their last attempt in it, if any.
    """

    tiles: list[Tile]
    plot: Plot | None
    gave_up: str


def days_of(webhook_ids: Collection[int], now: datetime) -> dict[int, Day]:
    """The last day of each; hours are those of the current zone."""
    hour = localtime(now).replace(minute=0, second=0, microsecond=0)
    waiting = waiting_of(webhook_ids)
    return {pk: _day(day, waiting.get(pk, 0)) for pk, day in last_days(webhook_ids, hour).items()}


def _day(day: LastDay, waiting: int) -> Day:
    whole = day.whole
    failed = ngettext("failed attempt", "failed attempts", whole.failed)
    gave_up = ngettext(
        "%(count)s delivery was given up.", "%(count)s deliveries were given up.", whole.gave_up
    ) % {"count": f"{whole.gave_up:,}"}
    tiles = [
        Tile(number=f"{whole.delivered:,}", words=gettext("delivered")),
        Tile(number=f"{whole.failed:,}", words=failed, tone="bad" if whole.failed else ""),
        Tile(number=f"{COUNTED:,}+" if waiting > COUNTED else f"{waiting:,}", words=gettext("waiting")),
        Tile(number=duration_words(whole.median_ms) or "—", words=gettext("median")),
        Tile(number=duration_words(whole.p95_ms) or "—", words=gettext("p95")),
    ]
    plot = plot_of(day)
    is_quiet = plot is None and not waiting
    return Day(tiles=[] if is_quiet else tiles, plot=plot, gave_up=gave_up if whole.gave_up else "")
