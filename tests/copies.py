"""A reader's copy of a list, kept in step by the six lines of `docs/sync.md` and by nothing else."""

import json
from typing import Any, Final, Self

import requests

from tests.pages import Page

SIX_LINES: Final = Page("sync.md").block("python")
BEGINNING: Final = "2000-01-01T00:00:00Z"


class Copy:
    """`run` once and again; `rows` are the copy, by their ids."""

    def __init__(self, address: str, token: str, resource: str = "leads") -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.place = {"updated_after": BEGINNING, "deleted_after": BEGINNING}
        self.told = 0
        self._address = address
        self._code = compile(
            SIX_LINES.replace("/public/leads", f"/public/{resource}"), "docs/sync.md", "exec"
        )
        self._calliyo = requests.Session()
        self._calliyo.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/x-ndjson"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._calliyo.close()

    def run(self) -> int:
        """One run of the six lines; how many rows were told."""
        before = self.told
        names = {"calliyo": self._calliyo, "CALLIYO": self._address, "json": json, "place": self.place}
        exec(self._code, names | {"put": self._put, "remove": self._remove})  # noqa: S102 (the page's own code)
        return self.told - before

    def _put(self, row: dict[str, Any]) -> None:
        self.told += 1
        self.rows[row["id"]] = row

    def _remove(self, gone: dict[str, Any]) -> None:
        self.told += 1
        row = self.rows.get(gone["id"])
        if row is not None and row["updated_at"] <= gone["deleted_at"]:
            del self.rows[gone["id"]]
