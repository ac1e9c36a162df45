"""Moves what is encrypted at rest under the newest field key, so that the older ones can be taken away."""

from dataclasses import dataclass

from apikeys.idempotency import reencrypt_answers
from calliyo.encryption import Undecryptable, under_newest_key
from webhooks.models import Webhook

_FIELDS = ("secret", "previous_secret", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencrypted:
    """How many values there are, how many were (or would be) moved, and whose no field key opens (webhooks' ids).

    Kept answers that no key opens are not told: a day later they are gone.
    """

    checked: int
    changed: int
    undecryptable: tuple[int, ...]


def reencrypt_secrets(*, dry_run: bool = False) -> Reencrypted:
    """Moves every value, one by one, while everything else goes on; doing it twice changes nothing more."""
    checked, changed = reencrypt_answers(dry_run=dry_run)
    undecryptable: list[int] = []
    for row in Webhook.objects.order_by("pk").values("pk", *_FIELDS).iterator(chunk_size=500):
        for name in _FIELDS:
            if not row[name]:
                continue
            checked += 1
            try:
                new = under_newest_key(row[name])
            except Undecryptable:
                undecryptable.append(row["pk"])
                continue
            if new is not None and (dry_run or _replaced(row["pk"], name, row[name], new)):
                changed += 1
    return Reencrypted(checked=checked, changed=changed, undecryptable=tuple(dict.fromkeys(undecryptable)))


def _replaced(pk: int, name: str, old: str, new: str) -> bool:
    # Only what is still the same: somebody may rotate it in this very moment. No version: nothing changed for people.
    return Webhook.objects.filter(pk=pk, **{name: old}).update(**{name: new}) == 1
