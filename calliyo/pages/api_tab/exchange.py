"""A test event and its answer, as they went over the wire; only the JSON of the request is laid out to be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from django.utils.translation import gettext

from calliyo.pages.api_tab.health import State
from webhooks.catalogue import EventType
from webhooks.delivery.send import AttemptResult
from webhooks.operations import SentSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the panel shows of one attempt; `answer` is empty when none came."""

    event: EventType
    outcome: State
    duration: str
    request: str
    answer: str


def exchange(url: str, event: EventType, sent: SentSample) -> Exchange:
    """The words for a sample that was sent to `url`."""
    return Exchange(
        event=event,
        outcome=_outcome(sent.result),
        duration=gettext("%(ms)d ms") % {"ms": round(sent.result.timings.total * 1000)},
        request=_request(url, sent),
        answer=_answer(sent.result),
    )


def _outcome(result: AttemptResult) -> State:
    word = _status_line(result.status) if result.status else gettext("No answer")
    if result.failure is None:
        return State(tone="good", word=word)
    return State(
        tone="bad", word=word, why=gettext("It failed: %(reason)s.") % {"reason": result.failure.words}
    )


def _request(url: str, sent: SentSample) -> str:
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    body = json.dumps(json.loads(sent.body), indent=2, ensure_ascii=False)
    return f"POST {target} HTTP/1.1\n{_headers(sent.headers)}\n\n{body}"


def _answer(result: AttemptResult) -> str:
    if result.status is None:
        return ""
    body = result.body.decode(errors="replace")
    return f"HTTP/1.1 {_status_line(result.status)}\n{_headers(result.headers)}\n\n{body}".strip()


def _status_line(status: int) -> str:
    known = {member.value: member.phrase for member in HTTPStatus}
    return f"{status} {known.get(status, '')}".strip()


def _headers(headers: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())
