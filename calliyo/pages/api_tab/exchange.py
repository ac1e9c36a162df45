"""A test event and its answer, as they went over the wire."""

from dataclasses import dataclass

from calliyo.pages.api_tab.health import State
from webhooks.catalogue import EventType
from webhooks.models import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the panel shows of one attempt."""

    event: EventType
    outcome: State
    duration: str
    request: str
    answer: str


def exchange(webhook: Webhook, event: EventType, result: object) -> Exchange:
    raise NotImplementedError
