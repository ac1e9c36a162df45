"""`manage.py replay --webhook ID (--since T | --event-id E | --failed | --missed)`."""

import math
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from calliyo.command import CalliyoCommand, Refused, WrongUsage
from calliyo.models import Company
from calliyo.moments import WHAT_A_MOMENT_IS, read_moment, read_span
from webhooks import replay, resending
from webhooks.command import named_webhook
from webhooks.models import Webhook


class Command(CalliyoCommand):
    help = (
        "Queues deliveries of events again: all that it subscribes to since T, what failed (with --since: since then), "
        "what it missed while it was off, or one event."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--webhook", type=int, required=True, metavar="ID", help="the webhook's number")
        add("--since", metavar="T", help="a time in RFC 3339, a date, or how long ago, such as 12h or 3d")
        add("--event-id", metavar="E", help="one event: evt_…")
        add("--failed", action="store_true", help="what failed and did not arrive later")
        add("--missed", action="store_true", help="what happened while it was off")
        add("--dry-run", action="store_true", help="only tell how many")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Counts, and queues them."""
        chosen = [bool(options["event_id"]), options["failed"], options["missed"]]
        if sum(chosen) > 1 or not (options["since"] or any(chosen)):
            raise WrongUsage("Say one of --since, --event-id, --failed and --missed.")
        if options["since"] and (options["event_id"] or options["missed"]):
            raise WrongUsage("--since goes alone or with --failed.")
        choice = _choice(named_webhook(options["webhook"]), options)
        found = replay.count(choice)
        queued = 0 if options["dry_run"] else resending.resend(choice, events=found.events, longest=math.inf)
        return {
            "webhook": choice.webhook.pk,
            "events": found.events,
            "queued": queued,
            "out_of_scope": found.out_of_scope,
            "no_longer_kept": found.gone,
        }

    def told(self, result: dict[str, Any]) -> str:
        """The number, and why it is not larger."""
        lines = [f"{result['events']:,} events to send again; {result['queued']:,} deliveries queued."]
        if result["out_of_scope"]:
            lines.append(f"{result['out_of_scope']:,} left out: the API key lacks their scope.")
        if result["no_longer_kept"]:
            lines.append(f"{result['no_longer_kept']:,} can't be sent: their events are no longer kept.")
        return "\n".join(lines)


def _choice(webhook: Webhook, options: dict[str, Any]) -> replay.Choice:
    if options["event_id"]:
        return replay.one_event(webhook, options["event_id"])
    if options["missed"]:
        return replay.missed(webhook)
    since = _since(options["since"]) if options["since"] else None
    if since is None or options["failed"]:
        return replay.failed(webhook, since=since)
    return replay.everything_since(webhook, since)


def _since(text: str) -> datetime:
    span = read_span(text)
    if span is not None:
        return timezone.now() - span
    moment = read_moment(text, zone=Company.current().zone)
    if moment is None:
        raise Refused(f"{text!r} is no {WHAT_A_MOMENT_IS}.")
    return moment
