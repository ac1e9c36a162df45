"""Fills Calliyo with a demo company: a tele-calling team, its leads and their histories."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import track

from calliyo.management.demo.writing import CHUNK, DEFAULT_LEADS, Seeded, seed

MOST_LEADS = 10_000_000


def _number_of_leads(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MOST_LEADS:
        raise ArgumentTypeError(f"{text!r} is not a number of leads from 0 to {MOST_LEADS:,}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Adds realistic demo data of every resource: users, campaigns, tags, leads, customers, calls, "
        "follow-ups, notes. The same command twice adds nothing. Demo users have no password: nobody can "
        "log in as one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--leads",
            type=_number_of_leads,
            default=DEFAULT_LEADS,
            metavar="N",
            help=f"how many leads there shall be (default {DEFAULT_LEADS})",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object: the rows added")

    def handle(self, *args: Any, **options: Any) -> None:
        leads: int = options["leads"]
        steps = track(
            seed(leads),
            total=1 + -(-leads // CHUNK),
            description="Seeding",
            console=Console(stderr=True),
            disable=options["json"] or not sys.stderr.isatty(),
        )
        added = sum(steps, Seeded())
        if options["json"]:
            self.stdout.write(json.dumps(asdict(added)))
        elif added:
            parts = ", ".join(
                f"{count:,} {name.replace('_', '-')}" for name, count in asdict(added).items() if count
            )
            self.stdout.write(f"Added {parts}.")
        else:
            self.stdout.write("Nothing to add: the demo data is there already.")
