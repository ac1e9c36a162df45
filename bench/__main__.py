"""`python -m bench`: measures on PostgreSQL with Redis, then on SQLite; prints tables, keeps JSON."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests import servers

RESULTS = Path(".data/bench")
# Wide enough for a table of figures where there is no terminal to ask.
console = Console() if sys.stdout.isatty() else Console(width=120)


def measured(what: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What a process of its own measures, with a data folder of its own."""
    with tempfile.TemporaryDirectory(prefix="calliyo-bench-") as folder:
        target = Path(folder, "results.json")
        subprocess.run(
            [sys.executable, "-m", "bench.measure", what, str(target)],
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


def databases() -> list[tuple[str, Callable[[], AbstractContextManager[Mapping[str, str]]]]]:
    """Where to measure, each with what starts it anew."""
    # PostgreSQL as it comes, with every commit on disk: that is what production pays.
    return [
        ("PostgreSQL, Redis", servers.services),
        ("SQLite, embedded broker (reported only)", lambda: nullcontext({})),
    ]


def show_saves(where: str, saves: Mapping[str, Any]) -> None:
    table = new_table(f"Saving a lead · {where}", "", "ms a save", "times bare", "added, in bare saves")
    for kind in ("create", "update"):
        for rival, figures in saves[kind].items():
            added = "" if rival == "bare" else shown(figures["added_in_bare_saves"], 1)
            table.add_row(f"{kind}, {rival}", shown(figures["ms"], 2), shown(figures["times_bare"], 1), added)
    console.print(table)


def show_listing(where: str, listing: Mapping[str, Any]) -> None:
    title = f"GET /public/leads?limit=50 · {where}"
    table = new_table(title, "", "requests a second", "times the bare view's time")
    table.add_row("bare view, same bytes", shown(listing["bare_requests_a_second"], 0), "1")
    table.add_row("the list", shown(listing["listing_requests_a_second"], 0), shown(listing["times_bare"], 1))
    console.print(table)


def show_arrival(where: str, arrival: Mapping[str, Any]) -> None:
    table = new_table(f"From commit to arrival, {arrival['saves']} saves · {where}", "", "ms")
    for name, value in arrival["ms"].items():
        table.add_row(name, f"{value:.1f}")
    console.print(table)


def show_deliveries(where: str, deliveries: Mapping[str, Any]) -> None:
    title = f"Deliveries, {deliveries['deliveries_a_round']} a round · {where}"
    table = new_table(title, "", "a second", "times the loop", "times a task each")
    for name, figures in deliveries["rivals"].items():
        table.add_row(
            name,
            shown(figures["a_second"], 0),
            shown(figures["times_loop"], 2),
            shown(figures["times_baseline"], 1),
        )
    console.print(table)


SHOW: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "saves": show_saves,
    "listing": show_listing,
    "arrival": show_arrival,
    "deliveries": show_deliveries,
}


def new_table(title: str, *columns: str) -> Table:
    console.print(f"\n[bold]{title}[/]")  # as a table's own title it would be broken to the table's width
    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


def shown(figure: Mapping[str, float], digits: int) -> str:
    """`1.23 (1.20 – 1.31)`."""
    median, least, greatest = (f"{figure[name]:.{digits}f}" for name in ("median", "least", "greatest"))
    return f"{median} ({least} – {greatest})"


def main(chosen: Sequence[str]) -> None:
    """Measures all, or what is named: `python -m bench saves listing`."""
    results: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "python": sys.version.split()[0]}
    for where, environment in databases():
        results[where] = {}
        for what in chosen or SHOW:
            with environment() as settings:
                results[where][what] = measured(what, settings)
            SHOW[what](where, results[where][what])
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(results, indent=2) + "\n")
    console.print("Figures: the median of the rounds (least – greatest).")
    console.print("Aims on PostgreSQL: a save adds at most 1.0 bare save, alike for 0 and for 10 webhooks.")
    console.print(f"Kept as {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
