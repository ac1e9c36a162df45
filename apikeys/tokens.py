"""The token's form: `cly_live_`, 32 random base62 characters, 6 of checksum. Pure: no Django, no database."""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from typing import Final

START: Final = "cly_live_"
PREFIX_LENGTH: Final = 13
BODY_LENGTH: Final = 32
CHECKSUM_LENGTH: Final = 6
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase

_FORM: Final = re.compile(f"{START}([0-9A-Za-z]{{{BODY_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A freshly minted token: `text` is shown once, `digest` and `prefix` are what is stored."""

    text: str
    digest: str
    prefix: str

    def __repr__(self) -> str:
        # A token that lands in a log or a traceback is a leaked token.
        return f"Token(prefix={self.prefix!r})"


def mint() -> Token:
    """A new token, from the operating system's randomness."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(BODY_LENGTH))
    text = f"{START}{body}{checksum(body)}"
    return Token(text=text, digest=digest(text), prefix=text[:PREFIX_LENGTH])


def parse(text: str) -> str | None:
    """The token in `text` when form and checksum hold, else None: no look-up is needed to tell."""
    form = _FORM.fullmatch(text)
    if form is None or checksum(form[1]) != form[2]:
        return None
    return text


def digest(text: str) -> str:
    """What is stored and looked up instead of the token: SHA-256 of the whole of it, in hex.

    A fast hash is enough: the body holds 190 random bits, so there is nothing to guess.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(body: str) -> str:
    """The body's CRC-32 as six base62 characters, left-padded with 0."""
    number = zlib.crc32(body.encode())
    characters = []
    for _ in range(CHECKSUM_LENGTH):
        number, rest = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[rest])
    return "".join(reversed(characters))
