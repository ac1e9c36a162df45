"""What is kept encrypted at rest: Fernet tokens under the field keys (`CALLIYO_FIELD_KEYS`, newest first)."""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Undecryptable(Exception):
    """What is stored was encrypted under a field key that is no longer there, or is damaged."""


def encrypt(text: str) -> str:
    """`text` as it is stored: under the newest field key."""
    return _fernet(tuple(settings.CALLIYO_FIELD_KEYS)).encrypt(text.encode()).decode()


def decrypt(stored: str) -> str:
    """What is in `stored`, under whichever field key still opens it; raises `Undecryptable`."""
    try:
        return _fernet(tuple(settings.CALLIYO_FIELD_KEYS)).decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise Undecryptable from error


def under_newest_key(stored: str) -> str | None:
    """What is stored, encrypted anew under the newest field key; None where it is already. Raises as `decrypt`."""
    if _opens_with(settings.CALLIYO_FIELD_KEYS[0], stored):
        return None
    return encrypt(decrypt(stored))


def _opens_with(key: str, stored: str) -> bool:
    try:
        _fernet((key,)).decrypt(stored.encode())
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=8)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
