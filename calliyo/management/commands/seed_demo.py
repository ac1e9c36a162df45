"""Fills Calliyo with a demo company: a tele-calling team, its leads and their histories."""

import sys
from argparse import ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console
from rich.progress import track

from calliyo.command import CalliyoCommand
from calliyo.management.demo.writing import CHUNK, DEFAULT_LEADS, Seeded, seed

MOST_LEADS = 10_000_000


def _number_of_leads(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MOST_LEADS:
        raise ArgumentTypeError(f"{text!r} is not a number of leads from 0 to {MOST_LEADS:,}")
    return int(text)


class Command(CalliyoCommand):
    help = (
        "Adds realistic demo data of every resource: users, campaigns, tags, leads, customers, calls, "
        "follow-ups, notes; API keys with their usage, webhooks with their deliveries. The same command twice adds "
        "nothing. Demo users have no password: nobody can log in as one. Nobody knows the tokens of the demo's "
        "keys, and its webhooks send nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--leads",
            type=_number_of_leads,
            default=DEFAULT_LEADS,
            metavar="N",
            help=f"how many leads there shall be (default {DEFAULT_LEADS})",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        leads: int = options["leads"]
        steps = track(
            seed(leads),
            total=2 + -(-leads // CHUNK),
            description="Seeding",
            console=Console(stderr=True),
            disable=options["json"] or not sys.stderr.isatty(),
        )
        return asdict(sum(steps, Seeded()))

    def told(self, result: dict[str, Any]) -> str:
        parts = [f"{count:,} {name.replace('_', '-')}" for name, count in result.items() if count]
        return f"Added {', '.join(parts)}." if parts else "Nothing to add: the demo data is there already."
