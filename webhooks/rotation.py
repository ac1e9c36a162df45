"""The secrets that a webhook had before and that still sign, each until its own end."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leads.pictures import moment
from webhooks import secrets
from webhooks.models import Webhook

MOST: Final = 5
"""So many earlier secrets sign at most: each is one more signature in the headers of every request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSecret:
    """A secret as it is stored, and when it ceases to sign."""

    stored: str
    until: datetime


def earlier_secrets(webhook: Webhook, now: datetime) -> list[EarlierSecret]:
    """Those that sign at `now`, the newest first."""
    kept = (
        EarlierSecret(stored=each["secret"], until=datetime.fromisoformat(each["until"]))
        for each in webhook.previous_secrets
    )
    return [each for each in kept if each.until > now]


def keep(webhook: Webhook, earlier: Iterable[EarlierSecret]) -> None:
    """Sets which secrets sign too (the newest first); `previous_secret_until` is when the last of them ends."""
    kept = list(earlier)
    webhook.previous_secrets = [{"secret": each.stored, "until": moment(each.until)} for each in kept]
    webhook.previous_secret_until = max((each.until for each in kept), default=None)


def those_that_open(webhook: Webhook, now: datetime) -> list[EarlierSecret]:
    """Those that still sign and that a field key opens: others can't sign, and would hold the webhook."""
    return [each for each in earlier_secrets(webhook, now) if secrets.opens(each.stored)]
