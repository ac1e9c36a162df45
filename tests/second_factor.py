"""A second factor as its owner has it: the key in his phone's app, and the codes that it shows."""

import time
from base64 import b32decode

from django_otp.oath import TOTP

from leads import codes
from leads.models import User
from leads.operations.second_factor import switch_on


def app_code(key: str, *, steps: int = 0) -> str:
    """What the app shows now, or so many steps of 30 seconds later."""
    totp = TOTP(b32decode(key))
    totp.time = time.time() + steps * 30
    return f"{totp.token():06d}"


def with_factor(user: User) -> tuple[str, list[str]]:
    """Switches it on, with a code of the step before, so that the one that is shown now is still good."""
    key = codes.new_key()
    recovery_codes = switch_on(user=user, key=key, code=app_code(key, steps=-1))
    user.refresh_from_db()
    return key, recovery_codes
