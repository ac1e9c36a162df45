"""`manage.py send_test_event --webhook ID`."""

from typing import Any

from django.core.management.base import CommandParser

from calliyo.command import CalliyoCommand
from webhooks.catalogue import EventType
from webhooks.command import named_webhook
from webhooks.operations import send_test_event


class Command(CalliyoCommand):
    help = "Sends one signed sample event to a webhook's endpoint now, and prints the answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--webhook", type=int, required=True, metavar="ID", help="the webhook's number")
        parser.add_argument(
            "--event",
            default=EventType.LEAD_CREATED.value,
            choices=[event.value for event in EventType],
            help="which event's sample (lead.created)",
        )
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Sends it; an endpoint that fails is a result, not a refusal."""
        webhook = named_webhook(options["webhook"])
        result = send_test_event(webhook=webhook, event_type=options["event"])
        return {
            "webhook": webhook.pk,
            "url": webhook.url,
            "event": options["event"],
            "succeeded": result.succeeded,
            "status": result.status,
            "error": result.failure.words if result.failure else None,
            "milliseconds": round(result.timings.total * 1000),
            "headers": dict(result.headers),
            "body": result.body.decode("utf-8", "replace"),
        }

    def told(self, result: dict[str, Any]) -> str:
        outcome = "was accepted" if result["succeeded"] else f"failed: {result['error']}"
        lines = [f"{result['event']} to {result['url']} {outcome} ({result['milliseconds']} ms)."]
        if result["status"] is not None:
            lines += [
                f"Status {result['status']}",
                *(f"{name}: {value}" for name, value in result["headers"].items()),
            ]
        if result["body"]:
            lines += ["", result["body"]]
        return "\n".join(lines)
