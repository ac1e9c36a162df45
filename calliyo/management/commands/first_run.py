"""What `make run` does before it starts the processes; a second run changes nothing."""

import os
import secrets
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from apikeys.operations import create_api_key
from apikeys.scopes import Scope
from calliyo.unit_of_work import unit_of_work
from leads.models import User
from leads.models.user import Role

USERNAME = "admin"
KEY_NAME = "First key"
# Beside the data that it speaks of; a user who was renamed or deleted since must not come back.
MARKER = "first_run_done"
NOTED = ("PORT", "BASE_URL", "CALLIYO_WEBHOOK_ALLOWED_NETWORKS")


class Command(BaseCommand):
    help = "Makes this folder ready: database, static files and, once, demo data, a login and an API token."

    def handle(self, *args: Any, **options: Any) -> None:
        _note_environment()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        marker = settings.DATA_DIR / MARKER
        if marker.exists():
            return
        if not User.objects.filter(username__iexact=USERNAME).exists():
            self.stdout.write("Making demo data …")
            call_command("seed_demo", verbosity=0, stdout=self.stderr)
            self._tell(*first_login_and_token())
        marker.touch(mode=0o600)

    def _tell(self, password: str, token: str) -> None:
        self.stdout.write(
            f"\n"
            f"  Your login (shown this once):      {USERNAME}   {password}\n"
            f"  Your API token (shown this once):  {token}\n"
            f"  Try it:  curl -H 'Authorization: Bearer {token}' {settings.BASE_URL}/public/me\n"
        )


def _note_environment() -> None:
    """Keeps what commands in other terminals need to know of this run."""
    lines = [f"{name}={os.environ[name]}\n" for name in NOTED if name in os.environ]
    draft = settings.RUN_ENVIRONMENT.with_suffix(".draft")
    draft.write_text("".join(lines))
    draft.chmod(0o600)
    draft.rename(settings.RUN_ENVIRONMENT)


@unit_of_work
def first_login_and_token() -> tuple[str, str]:
    """A company admin's password, and the token of a key that may do all; both are new."""
    password = secrets.token_urlsafe(12)
    User.objects.create_user(
        USERNAME, password=password, name="Admin", role=Role.COMPANY_ADMIN, is_staff=True
    )
    minted = create_api_key(name=KEY_NAME, scopes=list(Scope))
    return password, minted.token
