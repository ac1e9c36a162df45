"""Why an attempt failed: a stable code, and plain words for the person who reads the log."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from webhooks.delivery.deadline import DeadlinePassed
from webhooks.delivery.guard import NO_SUCH_NAME, CertificateExpired, LookupTimedOut, Refused
from webhooks.delivery.sentences import Sentence


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
        return Failure(FailureCode.TIMED_OUT, Sentence.TIMED_OUT.told(seconds=f"{timeout:g}"))
    for kind, code, sentence in _PLAIN:
        if isinstance(error, kind):
            return Failure(code, sentence.told())
    if isinstance(error, Refused):
        return Failure(FailureCode.ADDRESS_REFUSED, Sentence.ADDRESS_REFUSED.told(reason=error))
    if isinstance(error, ssl.SSLError | CertificateExpired):
        return _tls_failure(error)
    if isinstance(error, socket.gaierror):
        return _lookup_failure(error)
    if isinstance(error, AnswerBroken | http.client.HTTPException):
        return Failure(FailureCode.ANSWER_BROKEN, _broken_words(error))
    if isinstance(error, OSError):
        return Failure(
            FailureCode.CONNECTION_FAILED, Sentence.CONNECTION_FAILED.told(reason=error.strerror or error)
        )
    return None


def status_failure(status: int) -> Failure | None:
    """Why an answer with this status is a failure; None for 2xx."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Failure(FailureCode.REDIRECT, Sentence.REDIRECT.told(status=status))
    return Failure(FailureCode.STATUS, Sentence.STATUS.told(status=status))


_PLAIN: tuple[tuple[type[BaseException], FailureCode, Sentence], ...] = (
    (LookupTimedOut, FailureCode.LOOKUP_TIMED_OUT, Sentence.LOOKUP_TIMED_OUT),
    (ConnectionRefusedError, FailureCode.CONNECTION_REFUSED, Sentence.CONNECTION_REFUSED),
    (http.client.RemoteDisconnected, FailureCode.CONNECTION_CLOSED, Sentence.CLOSED_UNANSWERED),
    (ConnectionError, FailureCode.CONNECTION_CLOSED, Sentence.CLOSED),
    (ssl.SSLEOFError, FailureCode.CONNECTION_CLOSED, Sentence.CLOSED),
)


def _lookup_failure(error: socket.gaierror) -> Failure:
    if error.errno in NO_SUCH_NAME:
        return Failure(FailureCode.HOST_UNKNOWN, Sentence.HOST_UNKNOWN.told())
    words = Sentence.LOOKUP_FAILED.told(reason=error.strerror or error)
    return Failure(FailureCode.LOOKUP_FAILED, words)


def _tls_failure(error: ssl.SSLError | CertificateExpired) -> Failure:
    if isinstance(error, CertificateExpired):
        words = Sentence.EXPIRED_ON.told(day=f"{error.on.day} {error.on:%B %Y}")
        return Failure(FailureCode.CERTIFICATE_REFUSED, words)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(FailureCode.CERTIFICATE_REFUSED, _certificate_words(error))
    reason = error.reason or str(error)
    known = _TLS_SENTENCES.get(reason)
    words = known.told() if known else Sentence.TLS_FAILED.told(reason=reason.replace("_", " ").lower())
    return Failure(FailureCode.TLS_FAILED, words)


# By OpenSSL's reason. A server that speaks plain http on its https port answers with bytes that are no TLS.
_TLS_SENTENCES = {
    "WRONG_VERSION_NUMBER": Sentence.NO_TLS,
    "HTTP_REQUEST": Sentence.NO_TLS,
    "RECORD_LAYER_FAILURE": Sentence.NO_TLS,
    "PACKET_LENGTH_TOO_LONG": Sentence.NO_TLS,
    "UNSUPPORTED_PROTOCOL": Sentence.OLD_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": Sentence.OLD_TLS,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": Sentence.HANDSHAKE_REFUSED,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Sentence.CERTIFICATE_ASKED,
    "TLSV1_UNRECOGNIZED_NAME": Sentence.NAME_UNKNOWN,
}


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message
    for part, sentence in _CERTIFICATE_SENTENCES:
        if part in message:
            return sentence.told()
    return Sentence.NOT_TRUSTED.told(reason=message)


# By a part of OpenSSL's message.
_CERTIFICATE_SENTENCES = (
    ("expired", Sentence.EXPIRED),
    ("self-signed", Sentence.SELF_SIGNED),
    ("self signed", Sentence.SELF_SIGNED),
    ("not yet valid", Sentence.NOT_YET_VALID),
    ("local issuer", Sentence.UNKNOWN_AUTHORITY),
    ("mismatch", Sentence.OTHER_HOST),
)


def _broken_words(error: BaseException) -> str:
    if isinstance(error, http.client.BadStatusLine):
        return Sentence.NOT_HTTP.told()
    return Sentence.ANSWER_BROKEN.told(reason=str(error) or type(error).__name__)
