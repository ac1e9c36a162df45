"""Where a webhook's deliveries go and how they are dressed: read anew for each batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from webhooks import secrets
from webhooks.delivery.clock import ClockReading
from webhooks.models import Ordering, Webhook
from webhooks.rotation import earlier_secrets
from webhooks.signing import STANDARD_ID, STANDARD_TIMESTAMP, signature_headers

USER_AGENT = "Calliyo-Webhooks/1"
OWN_HEADERS = frozenset(
    name.lower()
    for name in (
        *("Content-Type", "User-Agent", "X-Calliyo-Event", "X-Calliyo-Delivery", "X-Calliyo-Sequence"),
        *("X-Calliyo-Signature", "webhook-id", "webhook-timestamp", "webhook-signature"),
    )
)
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A webhook as the sender needs it, secrets in the clear; never logged, never stored."""

    webhook_id: int
    api_key_id: int
    url: str
    # Kept out of `repr`, which tracebacks and error reports show.
    secrets: tuple[str, ...] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    ordering: Ordering
    scopes: frozenset[str]
    clock: ClockReading

    def request_headers(
        self, *, event_type: str, message_id: str, delivery: str, sequence: int | None, body: bytes
    ) -> dict[str, str]:
        """All headers of one attempt that is made now."""
        timestamp = int(self.clock.now().timestamp())
        headers = {
            **self.headers,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-Calliyo-Event": event_type,
            "X-Calliyo-Delivery": delivery,
            STANDARD_ID: message_id,
            STANDARD_TIMESTAMP: str(timestamp),
        }
        if sequence is not None:
            headers["X-Calliyo-Sequence"] = str(sequence)
        return headers | signature_headers(
            self.secrets, message_id=message_id, timestamp=timestamp, body=body
        )

    def shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers as the log keeps them: a person's own ones are encrypted at rest, so not their values."""
        return {name: HIDDEN if name in self.headers else value for name, value in headers.items()}


def opened_headers(stored: str) -> dict[str, str]:
    """A person's own headers in the clear; raises `UndecryptableSecret`."""
    headers: dict[str, str] = orjson.loads(secrets.decrypt(stored, field="headers")) if stored else {}
    return headers


def target_of(webhook: Webhook, now: datetime) -> Target:
    """The target of `webhook`, whose key is loaded; `now` is the database's. Raises `UndecryptableSecret`."""
    stored = [webhook.secret, *(each.stored for each in earlier_secrets(webhook, now))]
    return Target(
        webhook_id=webhook.pk,
        api_key_id=webhook.api_key_id,
        url=webhook.url,
        secrets=tuple(secrets.decrypt(each) for each in stored if each),
        headers=opened_headers(webhook.headers),
        ordering=Ordering(webhook.ordering),
        scopes=frozenset(webhook.api_key.scopes),
        clock=ClockReading(now),
    )
