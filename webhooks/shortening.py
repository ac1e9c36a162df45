"""The one way in which a body that is too long is shortened: no event is dropped, and none is more than 20,000 bytes.

First the texts that people write without end (of notes, calls and follow-ups), then lists of tags, then whatever is
longest. Each step cuts the longest to one length, and no further than is needed; the first two leave 2,000 bytes of
each. `data.shortened` names what was cut, by its path in `data`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

LONGEST_BODY = 20_000  # bytes (contract, *Webhooks*)
SHORTENED = "shortened"
_LEFT = 2_000
_WRITTEN_WITHOUT_END = frozenset({"note.text", "call.note", "follow_up.note"})

Cuttable: TypeAlias = str | list[str]


@dataclass(frozen=True, slots=True)
class _Part:
    """A text or a list of texts in the body, and where it stands."""

    holder: dict[str, Any]
    name: str
    path: str
    whole: Cuttable

    def cut(self, size: int) -> bool:
        """Puts so much of it there as fits into `size` bytes of JSON; says whether something is missing."""
        shorter = _cut_text(self.whole, size) if isinstance(self.whole, str) else _cut_list(self.whole, size)
        self.holder[self.name] = shorter
        return shorter != self.whole


def fitted(body: dict[str, Any]) -> bytes:
    """`body` in compact JSON, shortened where it must be; `body` itself stays as it is."""
    rendered = orjson.dumps(body)
    if len(rendered) <= LONGEST_BODY:
        return rendered
    # A copy of one's own: the pictures in it are in other events of the same commit, too.
    copy = orjson.loads(rendered)
    for wanted, left in _STEPS:
        rendered = _shortened(copy, [part for part in _parts(copy) if wanted(part)], left)
        if len(rendered) <= LONGEST_BODY:
            break
    return rendered


_STEPS: tuple[tuple[Callable[[_Part], bool], int], ...] = (
    (lambda part: part.path in _WRITTEN_WITHOUT_END, _LEFT),
    (lambda part: isinstance(part.whole, list), _LEFT),
    (lambda _: True, 0),
)


def _shortened(body: dict[str, Any], parts: list[_Part], left: int) -> bytes:
    """Cuts the parts to the greatest length at which the body fits, or to `left` where it does at none."""
    before = body["data"].get(SHORTENED, [])

    def rendered(size: int) -> bytes:
        missing = [part.path for part in parts if part.cut(size)]
        body["data"][SHORTENED] = sorted({*before, *missing})
        return orjson.dumps(body)

    sizes = range(left, LONGEST_BODY)
    too_long = bisect_left(sizes, True, key=lambda size: len(rendered(size)) > LONGEST_BODY)
    return rendered(sizes[max(0, too_long - 1)])


def _parts(body: dict[str, Any]) -> Iterator[_Part]:
    data = body["data"]
    yield from _parts_of({name: part for name, part in data.items() if name != SHORTENED}, "", data)
    if isinstance(body["actor"]["name"], str):
        yield _Part(body["actor"], "name", "actor.name", body["actor"]["name"])


def _parts_of(values: dict[str, Any], prefix: str, holder: dict[str, Any]) -> Iterator[_Part]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _parts_of(value, f"{path}.", value)
        elif isinstance(value, str | list):
            yield _Part(holder, name, path, value)


def _size(value: Cuttable) -> int:
    return len(orjson.dumps(value))


def _cut_text(text: str, size: int) -> str:
    """The beginning of `text` and an ellipsis, on a character's border."""
    # No character takes less than a byte: what is behind that many need not be looked at.
    if len(text) <= size and _size(text) <= size:
        return text
    too_long = bisect_left(range(size), True, key=lambda count: _size(text[:count] + "…") > size)
    return text[: too_long - 1] + "…" if too_long else ""


def _cut_list(texts: list[str], size: int) -> list[str]:
    """The first of `texts`."""
    room = size - len("[]")
    for count, text in enumerate(texts):
        room -= _size(text) + len(",")
        if room < -1:  # there is no comma behind the last
            return texts[:count]
    return texts
