"""Usage of a key, behind the request count in the drawer's head: by day, by resource, and what was not served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apikeys.models import APIKey, RefusedCall
from apikeys.usage import ResourceUsage, daily_usage, refused_calls, usage_by_resource
from calliyo.api.problems import title_of
from calliyo.pages.api_tab.drawer import drawer
from calliyo.pages.api_tab.health import State
from calliyo.pages.api_tab.page import Overlay
from calliyo.pages.api_tab.usage_plot import in_words, total, usage_plot

DAYS: Final = 30
REFUSALS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One resource; `share` is of the most called one, in per cent."""

    usage: ResourceUsage
    calls: int
    wrong: int
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One call that was not served, and why."""

    call: RefusedCall
    answer: State


def usage_panel(key: APIKey) -> Overlay:
    """Usage: a plot of 30 days, the endpoints that are called most, and the last calls that were not served."""
    days = daily_usage(key, DAYS)
    return drawer(
        key,
        "usage",
        days=DAYS,
        plot=usage_plot(days),
        calls_in_words=in_words(total(days)),
        endpoints=_endpoints(usage_by_resource(key, DAYS)),
        refusals=[_refusal(call) for call in refused_calls(key)[:REFUSALS]],
    )


def _endpoints(found: Sequence[ResourceUsage]) -> list[Endpoint]:
    most = max((usage.reads.total + usage.writes.total for usage in found), default=0)
    return [_endpoint(usage, most) for usage in found]


def _endpoint(usage: ResourceUsage, most: int) -> Endpoint:
    calls = usage.reads.total + usage.writes.total
    return Endpoint(
        usage=usage,
        calls=calls,
        wrong=calls - usage.reads.ok - usage.writes.ok,
        share=max(1, round(100 * calls / most)),
    )


def _refusal(call: RefusedCall) -> Refusal:
    tone = "bad" if call.status >= 500 else "warn"
    why = title_of(call.code, call.status)
    return Refusal(call=call, answer=State(tone=tone, word=str(call.status), why=why))
