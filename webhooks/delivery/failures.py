"""Why an attempt failed: a stable code, and plain words for the person who reads the log."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from webhooks.delivery.deadline import DeadlinePassed
from webhooks.delivery.guard import NO_SUCH_NAME, CertificateExpired, LookupTimedOut, Refused


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
    if isinstance(error, ssl.SSLError | CertificateExpired):
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
    if error.errno in NO_SUCH_NAME:
        return Failure(FailureCode.HOST_UNKNOWN, "the host name does not exist")
    return Failure(
        FailureCode.LOOKUP_FAILED, f"the host name could not be resolved: {error.strerror or error}"
    )


def _tls_failure(error: ssl.SSLError | CertificateExpired) -> Failure:
    if isinstance(error, CertificateExpired):
        words = f"the certificate expired on {error.on.day} {error.on:%B %Y}"
        return Failure(FailureCode.CERTIFICATE_REFUSED, words)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(FailureCode.CERTIFICATE_REFUSED, _certificate_words(error))
    reason = error.reason or str(error)
    words = _TLS_WORDS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower()}"
    return Failure(FailureCode.TLS_FAILED, words)


# By OpenSSL's reason. A server that speaks plain http on its https port answers with bytes that are no TLS.
_NO_TLS = "what answers on this port does not speak TLS; is it plain http?"
_OLD_TLS = "the endpoint speaks only versions of TLS that are not safe any more"
_TLS_WORDS = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _OLD_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD_TLS,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the endpoint refused the TLS handshake",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the endpoint asks for a certificate of ours, and Calliyo has none",
    "TLSV1_UNRECOGNIZED_NAME": "the endpoint does not know this host name",
}


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message
    if "expired" in message:
        return "the certificate has expired"
    if "self-signed" in message or "self signed" in message:
        return "the certificate is self-signed"
    if "not yet valid" in message:
        return "the certificate is not valid yet"
    if "local issuer" in message:
        return "the certificate is not from an authority that is trusted here"
    if "mismatch" in message:
        return "the certificate is for another host name"
    return f"the certificate is not trusted: {message}"


def _broken_words(error: BaseException) -> str:
    if isinstance(error, http.client.BadStatusLine):
        return "what came back is not HTTP"
    return f"the answer is broken: {str(error) or type(error).__name__}"
