"""Every link between documents leads somewhere, down to the heading that it names."""

import re
from pathlib import Path

import pytest

from tests.processes import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that a heading has as a link, as the sites that show Markdown spell them."""
    text = _FENCED.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_every_link_leads_somewhere(document: Path) -> None:
    lost = []
    for link in _LINK.findall(_FENCED.sub("", document.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_document_is_in_the_index() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "recipes"):
        linked = set(_LINK.findall((folder / "README.md").read_text()))
        assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= linked
