"""Why an attempt failed: a stable code, and plain words for the person who reads the log."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from webhooks.delivery.deadline import DeadlinePassed
from webhooks.delivery.guard import LookupTimedOut, Refused


class FailureCode(StrEnum):
    URL_REFUSED = "url_refused"
    ADDRESS_REFUSED = "address_refused"
    HOST_UNKNOWN = "host_unknown"
    LOOKUP_FAILED = "lookup_failed"
    LOOKUP_TIMED_OUT = "lookup_timed_out"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    CONNECTION_CLOSED = "connection_closed"
    CERTIFICATE_REFUSED = "certificate_refused"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    ANSWER_BROKEN = "answer_broken"
    REDIRECT = "redirect"
    STATUS = "status"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """A code for programs and a sentence for people."""

    code: FailureCode
    words: str


class AnswerBroken(Exception):
    """What came back is not a whole HTTP answer."""


def failure_of(error: BaseException, *, timeout: float) -> Failure | None:
    """What went wrong, for errors that a stranger's server can cause; None for a fault of ours."""
    if isinstance(error, DeadlinePassed | TimeoutError) and not isinstance(error, LookupTimedOut):
        return Failure(FailureCode.TIMED_OUT, f"no answer within {timeout:g} s")
    for kind, code, words in _PLAIN:
        if isinstance(error, kind):
            return Failure(code, words)
    if isinstance(error, Refused):
        return Failure(FailureCode.ADDRESS_REFUSED, f"the address is not allowed: {error}")
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error)
    if isinstance(error, socket.gaierror):
        return _lookup_failure(error)
    if isinstance(error, AnswerBroken | http.client.HTTPException):
        return Failure(FailureCode.ANSWER_BROKEN, _broken_words(error))
    if isinstance(error, OSError):
        return Failure(FailureCode.CONNECTION_FAILED, f"the connection failed: {error.strerror or error}")
    return None


def status_failure(status: int) -> Failure | None:
    """Why an answer with this status is a failure; None for 2xx."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Failure(
            FailureCode.REDIRECT, f"the endpoint redirects ({status}), and redirects are not followed"
        )
    return Failure(FailureCode.STATUS, f"the endpoint answered {status}")


_PLAIN: tuple[tuple[type[BaseException], FailureCode, str], ...] = (
    (LookupTimedOut, FailureCode.LOOKUP_TIMED_OUT, "the host name was not resolved in time"),
    (
        ConnectionRefusedError,
        FailureCode.CONNECTION_REFUSED,
        "the connection was refused: nothing listens there",
    ),
    (
        http.client.RemoteDisconnected,
        FailureCode.CONNECTION_CLOSED,
        "the connection was closed without an answer",
    ),
    (ConnectionError, FailureCode.CONNECTION_CLOSED, "the connection was closed or reset"),
    (ssl.SSLEOFError, FailureCode.CONNECTION_CLOSED, "the connection was closed or reset"),
)


def _lookup_failure(error: socket.gaierror) -> Failure:
    if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
        return Failure(FailureCode.HOST_UNKNOWN, "the host name does not exist")
    return Failure(
        FailureCode.LOOKUP_FAILED, f"the host name could not be resolved: {error.strerror or error}"
    )


def _tls_failure(error: ssl.SSLError) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(FailureCode.CERTIFICATE_REFUSED, _certificate_words(error))
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return Failure(FailureCode.TLS_FAILED, f"TLS failed: {reason}")


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message
    if "expired" in message:
        return "the certificate has expired"
    if "self-signed" in message or "self signed" in message:
        return "the certificate is self-signed"
    if "mismatch" in message:
        return "the certificate is for another host name"
    return f"the certificate is not trusted: {message}"


def _broken_words(error: BaseException) -> str:
    if isinstance(error, http.client.BadStatusLine):
        return "what came back is not HTTP"
    return f"the answer is broken: {str(error) or type(error).__name__}"
