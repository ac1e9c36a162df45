"""The headers that are sent along, as lines of text; a saved value is shown hidden, and kept where it stays so."""

from collections.abc import Collection

from django.utils.translation import gettext

from webhooks.delivery.target import HIDDEN, opened_headers
from webhooks.models import Webhook
from webhooks.secrets import UndecryptableSecret
from webhooks.validation import InvalidSubscription, checked_headers


def headers_shown(webhook: Webhook) -> str:
    """The saved headers a line each, their values hidden: they are often credentials. Empty where no key opens them."""
    try:
        return "\n".join(f"{name}: {HIDDEN}" for name in opened_headers(webhook.headers))
    except UndecryptableSecret:
        return ""


def header_names(webhook: Webhook) -> list[str]:
    """The names of the saved headers; none where no key opens them."""
    return [line.partition(":")[0] for line in headers_shown(webhook).splitlines()]


def headers_typed(text: str, known: Collection[str]) -> dict[str, str]:
    """The headers in `text`, a line each, those `known` perhaps hidden; raises `InvalidSubscription`."""
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            wrong = gettext("“%(line)s” is no header: write it as in X-Source: calliyo.") % {
                "line": line[:40]
            }
        elif name.lower() in {each.lower() for each in headers}:
            wrong = gettext("%(name)s is there twice.") % {"name": name[:40]}
        elif value == HIDDEN and name not in known:
            wrong = gettext("Type the value of %(name)s.") % {"name": name[:40]}
        else:
            headers[name] = value
            continue
        raise InvalidSubscription(wrong)
    return checked_headers(headers)
