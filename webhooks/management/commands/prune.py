"""`manage.py prune`."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from apikeys.retention import prune_usage
from calliyo.command import CalliyoCommand, Refused
from calliyo.moments import read_span
from webhooks import pruning


class Command(CalliyoCommand):
    help = "Deletes events and deliveries that are older than the company keeps, in batches; beat does so each hour."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--events-older-than", metavar="SPAN", help="such as 30d (default: the retention of Settings)")
        add("--dry-run", action="store_true", help="only tell how many")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Prunes, or counts."""
        text = options["events_older_than"]
        older_than = None if text is None else read_span(text)
        if text is not None and older_than is None:
            raise Refused(f"{text!r} is no span such as 30d or 12h.")
        work = pruning.would_prune if options["dry_run"] else pruning.prune
        calls = prune_usage(dry_run=options["dry_run"])
        return {**asdict(work(older_than=older_than)), **asdict(calls), "dry_run": options["dry_run"]}

    def told(self, result: dict[str, Any]) -> str:
        """What went, and what did not."""
        verb = "would be deleted" if result["dry_run"] else "deleted"
        lines = [f"{result['events']:,} events and {result['deliveries']:,} deliveries {verb}."]
        if result["missed"]:
            lines.append(f"{result['missed']:,} deliveries waited longer than the retention: missed.")
        if result["kept"]:
            lines.append(f"{result['kept']:,} old events are kept: deliveries wait for them.")
        if result["usage"] or result["refused_calls"]:
            numbers = (
                f"{result['usage']:,} days' counts of calls and {result['refused_calls']:,} refused calls"
            )
            lines.append(f"{numbers} {verb}.")
        return "\n".join(lines)
