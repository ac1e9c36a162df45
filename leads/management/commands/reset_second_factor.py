"""`manage.py reset_second_factor USERNAME`."""

from typing import Any

from django.core.management.base import CommandParser

from calliyo.command import CalliyoCommand, Refused
from leads.models import User
from leads.operations.second_factor import switch_off


class Command(CalliyoCommand):
    help = (
        "Removes the second factor of a user who has lost phone and recovery codes: the password is enough again, "
        "until a new one is switched on. Make sure first that it is really this user who asks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME", help="the user's name, as at the login")
        super().add_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        """Finds the user and removes it; one who has none is refused."""
        username: str = options["username"]
        user = None if "\0" in username else User.objects.filter(username__iexact=username).first()
        if user is None:
            raise Refused(f"There is no user {username}.")
        switch_off(user=user)
        return {"id": user.pk, "username": user.get_username()}

    def told(self, result: dict[str, Any]) -> str:
        return f"The second factor of {result['username']} is removed: the password is enough to log in."
