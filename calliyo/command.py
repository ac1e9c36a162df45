"""The base of every `manage.py` command: people read lines, machines one JSON object, refusals one reason.

Exit codes (contract, *Commands*): 0 done, 1 refused input, 2 wrong usage.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from calliyo.errors import DomainError


class Refused(CommandError):
    """The input is refused: its reason goes to stderr in one line, and the command exits with 1."""


class WrongUsage(CommandError):
    """Options that do not go together: exits with 2, as an unknown option does."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, returncode=2)


class CalliyoCommand(BaseCommand):
    """`work` does it and gives what `--json` prints; `told` says the same to people."""

    # They would mix their warnings with the one-line reason on stderr.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the command and prints what came of it."""
        try:
            result = self.work(**options)
        except DomainError as error:
            raise Refused(" ".join(error.detail.split())) from error
        self.stdout.write(json.dumps(result) if options["json"] else self.told(result))

    def work(self, **options: Any) -> dict[str, Any]:
        """Does what the command is for; a DomainError is a refusal."""
        raise NotImplementedError

    def told(self, result: dict[str, Any]) -> str:
        """The result in words."""
        raise NotImplementedError
