"""Webhook secrets: generated, checked when typed, and encrypted at rest under the field keys."""

import base64
import secrets

from django.utils.translation import gettext

from calliyo import encryption
from calliyo.encryption import Undecryptable
from calliyo.errors import DomainError
from webhooks.signing import SECRET_PREFIX, standard_key

MIN_LENGTH = 16
MAX_LENGTH = 255


class InvalidSecret(DomainError):
    """A typed secret that can't be used."""

    code = "invalid_secret"
    field = "secret"


class UndecryptableSecret(DomainError):
    """What is stored was encrypted under a field key that is no longer there, or is damaged."""

    code = "secret_undecryptable"
    field = "secret"


def generate_secret() -> str:
    """A new secret: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raises `InvalidSecret` for a secret that is too short, too long, or a `whsec_…` without base64."""
    if len(secret) < MIN_LENGTH:
        raise InvalidSecret(gettext("A secret has at least %(least)d characters.") % {"least": MIN_LENGTH})
    if len(secret) > MAX_LENGTH:
        raise InvalidSecret(gettext("A secret has at most %(most)d characters.") % {"most": MAX_LENGTH})
    if not secret.isprintable() or secret != secret.strip():
        raise InvalidSecret(
            gettext("A secret neither begins nor ends with a space, and holds no control characters.")
        )
    try:
        standard_key(secret)
    except ValueError as error:
        raise InvalidSecret(
            gettext("A secret that begins with %(prefix)s goes on in base64, and this one does not.")
            % {"prefix": SECRET_PREFIX},
        ) from error


def encrypt(secret: str) -> str:
    """`secret` as it is stored."""
    return encryption.encrypt(secret)


def decrypt(stored: str, *, field: str = "secret") -> str:
    """What is in `stored`, under whichever field key still opens it; raises `UndecryptableSecret` for `field`."""
    try:
        return encryption.decrypt(stored)
    except Undecryptable as error:
        raise UndecryptableSecret(
            gettext("The %(field)s can't be decrypted: its field key is not among CALLIYO_FIELD_KEYS.")
            % {"field": field},
            field=field,
        ) from error


def opens(stored: str) -> bool:
    """Whether a field key that is there now opens what is stored."""
    try:
        decrypt(stored)
    except UndecryptableSecret:
        return False
    return True
