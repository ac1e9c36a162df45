"""Signatures of a request, as pure functions: `X-Calliyo-Signature`, and Standard Webhooks' `webhook-signature`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of all, no secret)
CALLIYO_SIGNATURE = "X-Calliyo-Signature"
STANDARD_SIGNATURE = "webhook-signature"
STANDARD_ID = "webhook-id"
STANDARD_TIMESTAMP = "webhook-timestamp"
TIME_DIGITS = 12


def standard_key(secret: str) -> bytes:
    """The key of Standard Webhooks: the decoded bytes of a `whsec_…` secret, the UTF-8 bytes of any other.

    Raises `ValueError` for a `whsec_…` that is not base64. Missing padding is allowed, as in the verifiers
    that Standard Webhooks publishes.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"after {SECRET_PREFIX} comes base64") from error
    if not key:
        raise ValueError(f"after {SECRET_PREFIX} comes base64, and there is none")
    return key


def calliyo_signature(secrets: Sequence[str], *, timestamp: int, body: bytes) -> str:
    """`t=<unix seconds>,v1=<hex>`: one `v1=` for each secret, keyed by its UTF-8 bytes as shown."""
    signed = b"%d.%b" % (timestamp, body)
    digests = (hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets)
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def standard_signature(secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` of Standard Webhooks, one for each secret, parted by spaces."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    digests = (hmac.digest(standard_key(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def signature_headers(
    secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """Both signature headers, or none where the webhook has no secret."""
    if not secrets:
        return {}
    return {
        CALLIYO_SIGNATURE: calliyo_signature(secrets, timestamp=timestamp, body=body),
        STANDARD_SIGNATURE: standard_signature(
            secrets, message_id=message_id, timestamp=timestamp, body=body
        ),
    }


def calliyo_signature_holds(header: str, *, secret: str, body: bytes, now: int, tolerance: int = 300) -> bool:
    """Whether `header` signs `body` with `secret`, at most `tolerance` seconds away from `now`."""
    fields = [field.partition("=") for field in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    if len(times) != 1 or not _is_time(times[0]):
        return False
    timestamp = int(times[0])
    expected = hmac.digest(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hex()
    return abs(now - timestamp) <= tolerance and _holds(
        expected, (value for name, _, value in fields if name == "v1")
    )


def standard_signature_holds(
    headers: Mapping[str, str], *, secret: str, body: bytes, now: int, tolerance: int = 300
) -> bool:
    """Whether the three `webhook-…` headers (names in lower case) sign `body` with `secret`."""
    timestamp = headers.get(STANDARD_TIMESTAMP, "")
    if not _is_time(timestamp) or abs(now - int(timestamp)) > tolerance:
        return False
    message_id = headers.get(STANDARD_ID, "")
    expected = standard_signature([secret], message_id=message_id, timestamp=int(timestamp), body=body)
    return _holds(expected, headers.get(STANDARD_SIGNATURE, "").split(" "))


def _is_time(text: str) -> bool:
    # Of no more digits than a time has: Python refuses to read a number of thousands.
    return len(text) <= TIME_DIGITS and text.isascii() and text.isdigit()


def _holds(expected: str, given: Iterable[str]) -> bool:
    # All are compared, in constant time each: the time taken tells nothing of the expected one.
    return sum(hmac.compare_digest(expected.encode(), candidate.encode()) for candidate in given) > 0
