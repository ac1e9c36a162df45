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

from bench import statements
from tests import servers

RESULTS = Path(".data/bench")
AIMS = """\
Aims on PostgreSQL: a save adds at most 1.0 bare save, alike for 0 and for 10 webhooks. Arrival: p50 at \
most 15 ms over a bare POST, p99 60. Deliveries: at least 1.5 times \
the Session loop and 10 times a task each; two workers with two cores 1.7 times one with one, receiver and database \
on the same. Beside endpoints that hang: p95 at most 1.5 times alone. A long history: within 10 %; memory flat. \
A bulk change: at most 3 times bare. A batch of leads: at least 10 times single posts. A page of leads: at least \
3 times ModelSerializer, at least \
0.3 of a constant view, 0.5 wanted; token, scope and limit at most 0.15 of it; a deep page within 10 %; as NDJSON \
at least 20,000 rows a second, memory flat. The API tab with 200 keys: at most 8 queries and \
150 ms on SQLite, first paint 60 kB; deliveries over a million rows cost what they cost over a thousand, within 10 %."""
OPTIONS = {"history": (statements.OPTION,)}
"""What PostgreSQL is started with for a measurement, beside what it comes with."""
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


def databases() -> list[tuple[str, Callable[..., AbstractContextManager[Mapping[str, str]]]]]:
    """Where to measure, each with what starts it anew (PostgreSQL: with these options)."""
    # PostgreSQL as it comes, with every commit on disk: that is what production pays.
    return [
        ("PostgreSQL, Redis", servers.services),
        ("SQLite, embedded broker (reported only)", lambda *_: nullcontext({})),
    ]


def show_saves(where: str, saves: Mapping[str, Any]) -> None:
    table = new_table(f"Saving a lead · {where}", "", "ms a save", "times bare", "added, in bare saves")
    for kind in ("create", "update"):
        for rival, figures in saves[kind].items():
            added = "" if rival == "bare" else shown(figures["added_in_bare_saves"], 1)
            table.add_row(f"{kind}, {rival}", shown(figures["ms"], 2), shown(figures["times_bare"], 1), added)
    console.print(table)


def show_api(where: str, api: Mapping[str, Any]) -> None:
    title = f"GET /public/leads?limit=50 of {api['leads']:,} leads, over HTTP · {where}"
    table = new_table(title, "", "ms", "of a constant view", "the list does times as many")
    for name, figures in api["page"]["rivals"].items():
        table.add_row(
            name, shown(figures["ms"], 2), shown(figures["of_constant"], 3), shown(figures["list_times"], 2)
        )
    console.print(table)
    table = new_table(f"The rest of the API with {api['leads']:,} leads · {where}", "", "")
    table.add_row("token, scope and limit, share of the list", shown(api["page"]["access_share"], 3))
    table.add_row(f"page {api['deep']['page']:,}, times the first", shown(api["deep"]["times_first"], 2))
    table.add_row("rows a second as NDJSON", f"{api['stream']['rows_a_second']:,.0f}")
    memory = " → ".join(f"{megabytes:.0f}" for megabytes in api["stream"]["memory_mb"])
    table.add_row("web process's memory, MB: before, at most, after", memory)
    table.add_row("a write-only key: known number, times new", shown(api["silence"]["known_times_new"], 2))
    console.print(table)


def show_batches(where: str, batches: Mapping[str, Any]) -> None:
    title = f"POST /public/leads/batch of {batches['leads']} · {where}"
    table = new_table(title, "", "leads a second", "times single posts")
    table.add_row("single posts", shown(batches["single_leads_a_second"], 0), "1")
    table.add_row("one batch", shown(batches["batch_leads_a_second"], 0), shown(batches["times_single"], 1))
    console.print(table)


def show_arrival(where: str, arrival: Mapping[str, Any]) -> None:
    title = f"From commit to arrival at idle, {arrival['saves']} saves · {where}"
    table = new_table(title, "", "ms", "a bare POST", "over it")
    for name, value in arrival["ms"].items():
        over = arrival["over_bare_post_ms"].get(name)
        bare = f"{arrival['bare_post_ms'][name]:.1f}"
        table.add_row(name, f"{value:.1f}", bare, "" if over is None else f"{over:.1f}")
    console.print(table)


def show_deliveries(where: str, deliveries: Mapping[str, Any]) -> None:
    few, many = deliveries["deliveries_a_round"], deliveries["deliveries_a_round_of_a_hundred_endpoints"]
    title = f"Deliveries, {few:,} a round, {many:,} to a hundred endpoints · {where}"
    table = new_table(title, "", "a second", "times the loop", "times a task each")
    for name, figures in deliveries["rivals"].items():
        table.add_row(
            name,
            shown(figures["a_second"], 0),
            shown(figures["times_loop"], 2),
            shown(figures["times_baseline"], 1),
        )
    console.print(table)
    table = new_table(f"Two workers on a hundred endpoints · {where}", "", "")
    for name, figure in deliveries["two_workers"].items():
        table.add_row(name, shown(figure, 0 if name.startswith("µs") else 2))
    console.print(table)


def show_isolation(where: str, isolation: Mapping[str, Any]) -> None:
    title = f"From commit to arrival at a hundred healthy endpoints · {where}"
    table = new_table(title, "", "p50 ms", "p95 ms", "p99 ms")
    for name, figures in isolation["ms"].items():
        table.add_row(name, *(shown(figures[percent], 1) for percent in ("p50", "p95", "p99")))
    console.print(table)
    console.print(f"p95 beside a hundred that hang: {shown(isolation['p95_times_alone'], 2)} times alone\n")


def show_history(where: str, history: Mapping[str, Any]) -> None:
    if not history:
        return
    behind = f"{history['rows_behind']:,} delivered rows behind"
    table = new_table(f"Over a long history · {where}", "", "deliveries a second", "times empty")
    table.add_row("an empty database", shown(history["empty_a_second"], 0), "1")
    table.add_row(behind, shown(history["behind_a_second"], 0), shown(history["behind_times_empty"], 2))
    console.print(table)
    for what, name in (("deliveries a second", "behind"), ("processor time of one", "cpu_behind")):
        figure = history[f"{name}_times_empty"]
        within = f"{figure['low']:.2f} – {figure['high']:.2f}, 19 times of 20"
        console.print(f"{what}, times empty: the median of many such rounds lies within {within}")
    table = new_table(
        "What one delivery costs", "", "µs empty", "behind", "times", "pages empty", "behind", "times"
    )
    for who, each in history["cpu_microseconds"].items():
        table.add_row(f"processor time, {who}", *_compared(each["empty"], each["behind"]))
    for statement, counts in history["postgresql"].items():
        empty, long = counts["empty"], counts["behind"]
        if long["microseconds"] > 0.5:
            row = [
                *_compared(empty["microseconds"], long["microseconds"]),
                *_compared(empty["pages"], long["pages"]),
            ]
            table.add_row(statement[:48], *row)
    console.print(table)


def _compared(empty: float, behind: float) -> tuple[str, str, str]:
    return f"{empty:.1f}", f"{behind:.1f}", f"{behind / empty:.2f}" if empty else ""


def show_endurance(where: str, endurance: Mapping[str, Any]) -> None:
    table = new_table(f"Endurance · {where}", "", "")
    memory = " → ".join(f"{megabytes:.0f}" for megabytes in endurance["memory_mb"])
    table.add_row(f"worker's memory, MB, every {endurance['memory_step']:,} deliveries", memory)
    console.print(table)


def show_bulk(where: str, bulk: Mapping[str, Any]) -> None:
    title = f"{bulk['leads']:,} leads changed at once, {bulk['webhooks']} webhooks · {where}"
    table = new_table(title, "", "seconds")
    for name, figures in bulk["seconds"].items():
        table.add_row(name, shown(figures, 2))
    if "times_bare" in bulk:
        table.add_row("times bare SQL", shown(bulk["times_bare"], 2))
    console.print(table)


def show_pages(where: str, pages: Mapping[str, Any]) -> None:
    table = new_table(f"Settings → API with {pages['keys']} keys · {where}", "", "")
    table.add_row("queries", str(pages["queries"]))
    table.add_row("server time, ms", shown(pages["tab_ms"], 1))
    for name in ("first paint", "first paint with webhooks open"):
        table.add_row(f"{name}, kB", f"{sum(pages[name].values()) / 1000:.1f}")
    console.print(table)
    title = f"Deliveries, {pages['rows']['many']:,} rows beside {pages['rows']['few']:,} · {where}"
    table = new_table(title, "", "queries", "ms", "times that of few")
    for name, figures in pages["deliveries"].items():
        table.add_row(
            name, str(figures["queries"]), shown(figures["many_ms"], 1), shown(figures["times_few"], 2)
        )
    console.print(table)


SHOW: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "saves": show_saves,
    "api": show_api,
    "batches": show_batches,
    "arrival": show_arrival,
    "deliveries": show_deliveries,
    "isolation": show_isolation,
    "history": show_history,
    "endurance": show_endurance,
    "bulk": show_bulk,
    "pages": show_pages,
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
    """Measures all, or what is named: `python -m bench --quick saves api` (shorter rounds, fewer of them)."""
    if "--quick" in chosen:
        os.environ["BENCH_QUICK"] = "1"
    chosen = [each for each in chosen if each != "--quick"]
    if unknown := [each for each in chosen if each not in SHOW]:
        sys.exit(f"There is no benchmark {unknown[0]}; there are {', '.join(SHOW)}, and --quick.")
    results: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "python": sys.version.split()[0]}
    for where, environment in databases():
        results[where] = {}
        for what in chosen or SHOW:
            if what == "api" and "PostgreSQL" not in where:
                continue  # its crowd is written by PostgreSQL
            with environment(*OPTIONS.get(what, ())) as settings:
                results[where][what] = measured(what, settings)
            SHOW[what](where, results[where][what])
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(results, indent=2) + "\n")
    console.print("Figures: the median of the rounds (least – greatest).")
    console.print(AIMS)
    console.print(f"Kept as {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
