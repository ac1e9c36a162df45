"""`manage.py create_api_key`: a key, its token, and if wanted its first webhook."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from calliyo.command import CalliyoCommand, Refused, WrongUsage
from calliyo.models import Company
from calliyo.moments import WHAT_A_MOMENT_IS, read_moment, read_span
from calliyo.unit_of_work import unit_of_work
from webhooks.catalogue import EventType
from webhooks.models import Webhook
from webhooks.operations import reveal_secret, subscribe


class Command(CalliyoCommand):
    help = "Creates an API key and prints its token: the only time that it is shown."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--name", required=True, metavar="N", help="usually the system that will use it")
        add("--scope", action="append", default=[], metavar="S", help="such as leads:read; may be repeated")
        add("--all-scopes", action="store_true", help="every scope that there is")
        add("--rate-limit", type=int, metavar="N", help="requests a minute, 0 for none (default: 600)")
        add("--expires", metavar="T", help="a time in RFC 3339, a date, or a span such as 30d or 12h")
        add("--allow-address", action="append", default=[], metavar="CIDR", help="where it may come from")
        add("--allow-origin", action="append", default=[], metavar="O", help="web sites whose forms use it")
        add("--manage-webhooks", action="store_true", help="may manage webhooks of its own")
        add("--webhook", metavar="URL", help="also subscribe this URL")
        add("--event", action="append", default=[], metavar="E", help="such as lead.created; may be repeated")
        add("--all-events", action="store_true", help="all nine events")
        add("--secret", metavar="S", help="sign deliveries with this secret; 'generate' makes one")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """The key and its webhook, or neither."""
        events = _events(options)
        return _create(options, expires_at=_expiry(options["expires"]), events=events)

    def told(self, result: dict[str, Any]) -> str:
        """The token to copy, and what it may do."""
        lines = [
            f"{result['name']} (API key {result['id']})",
            f"Scopes: {', '.join(result['scopes']) or 'none, so it may do nothing yet'}",
        ]
        webhook = result["webhook"]
        if webhook:
            lines.append(f"Webhook {webhook['id']}: {webhook['url']} ({', '.join(webhook['events'])})")
            lines.append(f"Secret: {webhook['secret'] or 'none, so deliveries are not signed'}")
        return "\n".join([*lines, "Copy the token now, it is not shown again:", "", f"  {result['token']}"])


@unit_of_work
def _create(options: dict[str, Any], *, expires_at: datetime | None, events: list[str]) -> dict[str, Any]:
    minted = create_api_key(
        name=options["name"],
        scopes=list(Scope) if options["all_scopes"] else options["scope"],
        expires_at=expires_at,
        rate_limit=options["rate_limit"],
        allowed_addresses=options["allow_address"],
        allowed_origins=options["allow_origin"],
        manage_webhooks=options["manage_webhooks"],
    )
    webhook = None
    if options["webhook"]:
        webhook = subscribe(
            api_key=minted.key, url=options["webhook"], events=events, secret=options["secret"]
        )
    return {
        "id": minted.key.pk,
        "name": minted.key.name,
        "token": minted.token,
        "scopes": minted.key.scopes,
        "webhook": _shown(webhook),
    }


def _shown(webhook: Webhook | None) -> dict[str, Any] | None:
    if webhook is None:
        return None
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "secret": reveal_secret(webhook),
        "events": webhook.events,
    }


def _events(options: dict[str, Any]) -> list[str]:
    wanted = list(EventType) if options["all_events"] else options["event"]
    if options["webhook"] and not wanted:
        raise WrongUsage("--webhook needs an --event, or --all-events.")
    if not options["webhook"] and (wanted or options["secret"]):
        raise WrongUsage("--event, --all-events and --secret need a --webhook.")
    return [str(event) for event in wanted]


def _expiry(text: str | None) -> datetime | None:
    """The moment that `text` names; a date is its beginning where the company is."""
    if text is None:
        return None
    span = read_span(text)
    if span is not None:
        return timezone.now() + span
    moment = read_moment(text, zone=Company.current().zone)
    if moment is None:
        raise Refused(f"{text!r} is no {WHAT_A_MOMENT_IS}.")
    return moment
