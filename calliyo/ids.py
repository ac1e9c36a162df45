"""Ids as text: how they stand in an address, a form or a query."""

from collections.abc import Iterable
from typing import Final

BIGGEST_ID: Final = 2**63 - 1
_MOST_DIGITS: Final = len(str(BIGGEST_ID))


def read_id(text: str) -> int | None:
    """The whole number from 0 to 2⁶³-1 that `text` is in ASCII digits; None when it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= BIGGEST_ID else None


def read_ids(texts: Iterable[str]) -> set[int]:
    """The ids among `texts`."""
    return {number for text in texts if (number := read_id(text)) is not None}
