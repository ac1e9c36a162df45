"""The codes of a second factor, as pure functions: an authenticator app's (TOTP, by django-otp), and recovery codes."""

import hashlib
import re
import secrets
import time
from base64 import b32decode, b32encode
from typing import Final
from urllib.parse import quote, urlencode

from django_otp.oath import TOTP

ISSUER: Final = "Calliyo"
RECOVERY_CODES: Final = 10
# The phone's clock may be one step of 30 seconds ahead or behind.
TOLERANCE: Final = 1

_FROM_APP: Final = re.compile("[0-9]{6}")


def new_key() -> str:
    """A fresh key for an authenticator app: 160 random bits in base32."""
    return b32encode(secrets.token_bytes(20)).decode()


def in_fours(text: str) -> str:
    """`text` in groups of four, as it is easily typed."""
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def key_uri(key: str, username: str) -> str:
    """What the QR code says to the app: the key, and whose login it is for."""
    what = urlencode({"secret": key, "issuer": ISSUER, "algorithm": "SHA1", "digits": 6, "period": 30})
    return f"otpauth://totp/{ISSUER}:{quote(username, safe='')}?{what}"


def bare(typed: str) -> str:
    """A code as it is meant, however it was grouped or written."""
    return re.sub(r"[\s-]", "", typed).upper()


def is_from_app(code: str) -> bool:
    """Whether a bare code has the form of an app's."""
    return _FROM_APP.fullmatch(code) is not None


def step_of(code: str, key: str, *, after: int = -1) -> int | None:
    """The 30-second step that a bare code belongs to: this one, its neighbours; none that is not later than `after`."""
    if not is_from_app(code):
        return None
    totp = TOTP(b32decode(key))
    totp.time = time.time()
    if not totp.verify(int(code), tolerance=TOLERANCE, min_t=after + 1):
        return None
    step: int = totp.t()
    return step


def new_recovery_codes() -> list[str]:
    """Ten fresh codes of 80 random bits each: so many that a fast hash of them tells nothing."""
    made = (b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES))
    return [in_fours(code).replace(" ", "-") for code in made]


def digest(recovery_code: str) -> str:
    """What is stored of a recovery code, however it is written."""
    return hashlib.sha256(bare(recovery_code).encode()).hexdigest()
