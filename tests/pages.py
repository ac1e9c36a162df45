"""What the documents show, taken from the pages themselves: their blocks of code, requests, answers and scopes.

A test that runs what a page shows fails when the page no longer tells the truth.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from apikeys.scopes import Scope
from calliyo.pages.wording import titled
from tests.processes import ROOT

DOCS = ROOT / "docs"
RECIPES = sorted(path for path in (DOCS / "recipes").glob("*.md") if path.name != "README.md")
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TICKS = re.compile(r"^\| Scopes \| (.+) \|$", re.MULTILINE)
_BY_TITLE = {titled(scope): scope for scope in Scope}


@dataclass(frozen=True)
class Block:
    """One fenced block, and the heading above it."""

    language: str
    text: str
    heading: str


class Page:
    """One document."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.text = (DOCS / path).read_text()

    def blocks(self, language: str, *, under: str = "") -> list[Block]:
        """The blocks in this language, in their order; only those below the heading `under`, where it is given."""
        return [
            block
            for block in self._all()
            if block.language == language and (not under or block.heading == under)
        ]

    def block(self, language: str, *, under: str = "") -> str:
        """The text of the only such block."""
        (found,) = self.blocks(language, under=under)
        return found.text

    def scopes(self) -> list[str]:
        """The scopes that the page tells its reader to tick, by the words of the Settings page."""
        (line,) = _TICKS.findall(self.text)
        return [_BY_TITLE[title].value for title in re.findall(r"\*\*(.+?)\*\*", line)]

    def _all(self) -> list[Block]:
        found = []
        for match in _FENCE.finditer(self.text):
            headings = _HEADING.findall(_without_fences(self.text[: match.start()]))
            indent = match[1]
            lines = (line.removeprefix(indent) for line in match[3].splitlines(keepends=True))
            found.append(Block(match[2], "".join(lines), headings[-1] if headings else ""))
        return found


def _without_fences(text: str) -> str:
    return _FENCE.sub("", text)
