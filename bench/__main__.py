"""`python -m bench`: measures on PostgreSQL with Redis, then on SQLite; prints tables, keeps JSON."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests import servers

RESULTS = Path(".data/bench")
# Wide enough for a table of figures where there is no terminal to ask.
console = Console() if sys.stdout.isatty() else Console(width=120)


def measured(environment: Mapping[str, str]) -> dict[str, Any]:
    """What a process of its own measures; it begins with an empty database."""
    with tempfile.TemporaryDirectory(prefix="calliyo-bench-") as folder:
        target = Path(folder, "results.json")
        subprocess.run(
            [sys.executable, "-m", "bench.measure", str(target)],
            env={
                **os.environ,
                "CALLIYO_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
                **environment,
                "CALLIYO_DATA_DIR": folder,
            },
            check=True,
        )
        results: dict[str, Any] = json.loads(target.read_text())
        return results


@contextmanager
def databases() -> Iterator[dict[str, dict[str, str]]]:
    # PostgreSQL as it comes, with every commit on disk: that is what production pays.
    with servers.services() as environment:
        yield {"PostgreSQL, Redis": environment, "SQLite, embedded broker (reported only)": {}}


def show_saves(where: str, saves: Mapping[str, Any]) -> None:
    table = Table(title=f"Saving a lead · {where}", caption="median of the rounds (least – greatest)")
    for column in ("", "ms a save", "times bare", "added, in bare saves", "aim"):
        table.add_column(column, justify="left" if not column else "right")
    for kind in ("create", "update"):
        for rival, figures in saves[kind].items():
            aim = "" if rival == "bare" else "at most 1.0"
            table.add_row(
                f"{kind}, {rival}",
                shown(figures["ms"], 2),
                shown(figures["times_bare"], 1),
                "" if rival == "bare" else shown(figures["added_in_bare_saves"], 1),
                aim,
            )
    console.print(table)


def shown(figure: Mapping[str, float], digits: int) -> str:
    """`1.23 (1.20 – 1.31)`."""
    median, least, greatest = (f"{figure[name]:.{digits}f}" for name in ("median", "least", "greatest"))
    return f"{median} ({least} – {greatest})"


def main() -> None:
    results: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "python": sys.version.split()[0]}
    with databases() as environments:
        for where, environment in environments.items():
            results[where] = measured(environment)
            show_saves(where, results[where]["saves"])
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"Kept as {target}")


if __name__ == "__main__":
    main()
