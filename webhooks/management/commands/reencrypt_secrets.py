"""`manage.py reencrypt_secrets`."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from calliyo.command import CalliyoCommand
from webhooks.reencryption import reencrypt_secrets


class Command(CalliyoCommand):
    help = (
        "Encrypts every secret at rest under the newest of CALLIYO_FIELD_KEYS; older keys may go afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell how many")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Rewrites them, or counts."""
        dry_run: bool = options["dry_run"]
        return {**asdict(reencrypt_secrets(dry_run=dry_run)), "dry_run": dry_run}

    def told(self, result: dict[str, Any]) -> str:
        """How many, and which can't be."""
        verb = "would be encrypted" if result["dry_run"] else "encrypted"
        lines = [f"{result['changed']} of {result['values']} values {verb} under the newest key."]
        if result["undecryptable"]:
            numbers = ", ".join(map(str, result["undecryptable"]))
            lines.append(f"No key opens what these webhooks hold: {numbers}. Give them new secrets.")
        return "\n".join(lines)
