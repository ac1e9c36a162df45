"""What somebody typed into a form that could not be taken: his login had ended, or he logged in anew meanwhile.

It travels signed through the login page, waits in the session for the one request that shows the form again, and is
never acted on by itself. Secrets are left out: they must be typed again.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.core import signing
from django.http import HttpRequest, QueryDict

MAX_LENGTH: Final = 200_000
_SALT: Final = "calliyo.pages.held"
_LIFETIME: Final = timedelta(days=1)
_SESSION_KEY: Final = "held_form"
_OUR_OWN: Final = frozenset({"version", "panel", "start", "stops_accepted", "expires", "secret_choice"})
_TOLD: Final = 600
# A spent or stale number would be refused; secrets are not to lie about in pages and sessions.
_LEFT_OUT: Final = frozenset(
    {"csrfmiddlewaretoken", "form_number", "secret", "headers", "password", "code", "recovery_code"}
)


def sealed(request: HttpRequest) -> str:
    """The form that was sent, as text that only `kept_for` opens; empty for one that is too large to carry."""
    form = {"path": request.path, "fields": _fields(request.POST)}
    text = signing.dumps(form, salt=_SALT, compress=True)
    return text if len(text) <= MAX_LENGTH else ""


def keep(request: HttpRequest, seal: str) -> str | None:
    """Lays what was sealed into the session; gives the address that shows it, None for a seal that is not good."""
    try:
        form = signing.loads(seal, salt=_SALT, max_age=_LIFETIME)
    except signing.BadSignature:
        return None
    request.session[_SESSION_KEY] = form
    return str(form["path"])


def take(request: HttpRequest) -> QueryDict | None:
    """What waits in the session for this address, once."""
    form: Mapping[str, object] = request.session.get(_SESSION_KEY) or {}
    if form.get("path") != request.path:
        return None
    fields: Mapping[str, list[str]] = request.session.pop(_SESSION_KEY)["fields"]
    typed = QueryDict(mutable=True)
    for name, values in fields.items():
        typed.setlist(name, values)
    return typed


def in_words(sent: QueryDict) -> str:
    """What was typed, without secrets, for somebody whose form has nowhere to go any more."""
    typed = {name: values for name, values in _fields(sent).items() if name not in _OUR_OWN and any(values)}
    told = "; ".join(f"{name.replace('_', ' ')}: {', '.join(values)}" for name, values in typed.items())
    return told if len(told) <= _TOLD else f"{told[:_TOLD]}…"


def _fields(sent: QueryDict) -> dict[str, list[str]]:
    return {name: [str(value) for value in values] for name, values in sent.lists() if name not in _LEFT_OUT}
