"""A request and its answer as they went over the wire; only the JSON of the request is laid out to be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from django.utils.translation import gettext

from calliyo.pages.api_tab.delivery_words import duration_words, sentence
from calliyo.pages.api_tab.health import State
from webhooks.catalogue import EventType
from webhooks.delivery.result import AttemptResult
from webhooks.operations import SentSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the steps that an attempt takes its time for, in milliseconds."""

    name: str
    ms: float

    @property
    def duration(self) -> str:
        """The time in words."""
        return duration_words(self.ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the panel shows of a test event; `answer` is empty when none came."""

    event: EventType
    outcome: State
    duration: str
    steps: list[Step]
    request: str
    answer: str


def exchange(url: str, event: EventType, sent: SentSample) -> Exchange:
    """The words for a sample that was sent to `url`."""
    result = sent.result
    times = result.timings
    return Exchange(
        event=event,
        outcome=outcome_of_answer(result.status, result.failure.words if result.failure else ""),
        duration=duration_words(times.total * 1000),
        steps=steps(
            *(each and each * 1000 for each in (times.dns, times.connect, times.tls, times.first_byte))
        ),
        request=f"{request_head(url, sent.headers)}\n\n{pretty(sent.body.decode())}",
        answer=_answer(result),
    )


def outcome_of_answer(status: int | None, error: str) -> State:
    """An answer as a dot and its status, with the reason where it counts as a failure."""
    word = status_line(status) if status else gettext("No answer")
    return State(tone="bad" if error else "good", word=word, why=sentence(error))


def steps(
    dns: float | None, connect: float | None, tls: float | None, first_byte: float | None
) -> list[Step]:
    """The steps that were taken; on a connection that was kept alive, the first three were not."""
    named = (
        (gettext("DNS"), dns),
        (gettext("Connect"), connect),
        (gettext("TLS"), tls),
        (gettext("First byte"), first_byte),
    )
    return [Step(name=name, ms=ms) for name, ms in named if ms is not None]


def request_head(url: str, headers: Mapping[str, str]) -> str:
    """The first line of a request to `url`, and its headers."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return f"POST {target} HTTP/1.1\n{header_lines(headers)}"


def answer_text(status: int, headers: Mapping[str, str], body: str) -> str:
    """A whole answer."""
    return f"HTTP/1.1 {status_line(status)}\n{header_lines(headers)}\n\n{body}".strip()


def pretty(body: str) -> str:
    """JSON laid out to be read; what is none stays as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def status_line(status: int) -> str:
    """A status with its name: 404 Not Found."""
    known = {member.value: member.phrase for member in HTTPStatus}
    return f"{status} {known.get(status, '')}".strip()


def header_lines(headers: Mapping[str, str]) -> str:
    """A header a line."""
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def _answer(result: AttemptResult) -> str:
    if result.status is None:
        return ""
    return answer_text(result.status, result.headers, result.body.decode(errors="replace"))
