"""`manage.py reencrypt_secrets [--dry-run]`."""

from typing import Any

from django.core.management.base import CommandParser

from calliyo.command import CalliyoCommand
from webhooks.reencryption import reencrypt_secrets


class Command(CalliyoCommand):
    help = (
        "Encrypts every secret at rest under the newest field key. To change the key: put the new one first in "
        "CALLIYO_FIELD_KEYS, the old one behind it; restart every process; run this; take the old one away."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are to do")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Does it; values that no key opens are told, and left as they are."""
        dry_run: bool = options["dry_run"]
        done = reencrypt_secrets(dry_run=dry_run)
        return {
            "checked": done.checked,
            "changed": done.changed,
            "undecryptable_webhooks": list(done.undecryptable),
            "undecryptable_users": list(done.undecryptable_users),
            "dry_run": dry_run,
        }

    def told(self, result: dict[str, Any]) -> str:
        verb = "would be" if result["dry_run"] else "were"
        line = f"{result['changed']} of {result['checked']} values {verb} encrypted anew under the newest field key."
        if lost := ", ".join(map(str, result["undecryptable_webhooks"])):
            line += f"\nNo field key opens what these webhooks hold; they need a new secret: {lost}."
        if users := ", ".join(map(str, result["undecryptable_users"])):
            line += f"\nNo field key opens the second factor of these users; reset_second_factor removes it: {users}."
        return line
