"""The base of the commands that do one thing to one API key."""

from typing import Any

from django.core.management.base import CommandParser

from apikeys.models import APIKey
from calliyo.command import CalliyoCommand, Refused


class KeyCommand(CalliyoCommand):
    """Takes the key's number, as `create_api_key` and the Settings page give it."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, metavar="ID", help="the API key's number")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Finds the key and does the one thing."""
        key_id: int = options["id"]
        key = APIKey.objects.filter(pk=key_id).first() if 0 <= key_id < 2**63 else None
        if key is None:
            raise Refused(f"There is no API key {key_id}.")
        return self.work_on(key)

    def work_on(self, key: APIKey) -> dict[str, Any]:
        """Does it, and gives what `--json` prints."""
        raise NotImplementedError
