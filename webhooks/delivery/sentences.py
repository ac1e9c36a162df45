"""What the log says of an attempt or a delivery that failed: sentences that are stored, and told again in any language.

They are stored and told to programs in English; a page for people shows `translated` ones.
"""

import re
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext, gettext_noop


class Sentence(StrEnum):
    """Every sentence there is, the parts that vary named as in `%(status)s`."""

    TIMED_OUT = gettext_noop("no answer within %(seconds)s s")
    STATUS = gettext_noop("the endpoint answered %(status)s")
    REDIRECT = gettext_noop("the endpoint redirects (%(status)s), and redirects are not followed")
    ADDRESS_REFUSED = gettext_noop("the address is not allowed: %(reason)s")
    LOOKUP_TIMED_OUT = gettext_noop("the host name was not resolved in time")
    HOST_UNKNOWN = gettext_noop("the host name does not exist")
    LOOKUP_FAILED = gettext_noop("the host name could not be resolved: %(reason)s")
    CONNECTION_REFUSED = gettext_noop("the connection was refused: nothing listens there")
    CLOSED_UNANSWERED = gettext_noop("the connection was closed without an answer")
    CLOSED = gettext_noop("the connection was closed or reset")
    CONNECTION_FAILED = gettext_noop("the connection failed: %(reason)s")
    NO_TLS = gettext_noop("what answers on this port does not speak TLS; is it plain http?")
    OLD_TLS = gettext_noop("the endpoint speaks only versions of TLS that are not safe any more")
    HANDSHAKE_REFUSED = gettext_noop("the endpoint refused the TLS handshake")
    CERTIFICATE_ASKED = gettext_noop("the endpoint asks for a certificate of ours, and Calliyo has none")
    NAME_UNKNOWN = gettext_noop("the endpoint does not know this host name")
    TLS_FAILED = gettext_noop("TLS failed: %(reason)s")
    EXPIRED_ON = gettext_noop("the certificate expired on %(day)s")
    EXPIRED = gettext_noop("the certificate has expired")
    SELF_SIGNED = gettext_noop("the certificate is self-signed")
    NOT_YET_VALID = gettext_noop("the certificate is not valid yet")
    UNKNOWN_AUTHORITY = gettext_noop("the certificate is not from an authority that is trusted here")
    OTHER_HOST = gettext_noop("the certificate is for another host name")
    NOT_TRUSTED = gettext_noop("the certificate is not trusted: %(reason)s")
    NOT_HTTP = gettext_noop("what came back is not HTTP")
    ANSWER_BROKEN = gettext_noop("the answer is broken: %(reason)s")
    INTERNAL = gettext_noop("Calliyo could not send this: %(reason)s")
    SCOPE_LOST = gettext_noop("not sent: the API key no longer has the scope %(scope)s")
    OUTLIVED = gettext_noop("not sent: it waited longer than events are kept")

    def told(self, **parts: object) -> str:
        """The sentence as it is stored, with its parts."""
        return self.value % parts


def _pattern(sentence: Sentence) -> re.Pattern[str]:
    fixed = re.split(r"%\((\w+)\)s", sentence.value)
    texts, names = fixed[::2], fixed[1::2]
    parts = [f"(?P<{name}>.+)" for name in names] + [""]
    return re.compile(
        "".join(re.escape(text) + part for text, part in zip(texts, parts, strict=True)), re.DOTALL
    )


_PATTERNS: Final = [(sentence, _pattern(sentence)) for sentence in Sentence]


def translated(stored: str) -> str:
    """A stored sentence in the current language; one that is none of ours (an older release's) as it is."""
    for sentence, pattern in _PATTERNS:
        if found := pattern.fullmatch(stored):
            return gettext(sentence.value) % found.groupdict()
    return stored
