"""Moves what is encrypted at rest under the newest field key, so that the older ones can be taken away."""

from dataclasses import dataclass

from django.db import transaction

from apikeys.idempotency import reencrypt_answers
from calliyo.encryption import Undecryptable, under_newest_key
from leads.operations.second_factor import reencrypt_keys
from webhooks.models import Webhook

_FIELDS = ("secret", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencrypted:
    """How many values there are, how many were (or would be) moved, and whose no field key opens: ids of webhooks,
    and of users, whose second factor it is.

    Kept answers that no key opens are not told: a day later they are gone.
    """

    checked: int
    changed: int
    undecryptable: tuple[int, ...]
    undecryptable_users: tuple[int, ...] = ()


def reencrypt_secrets(*, dry_run: bool = False) -> Reencrypted:
    """Moves every value, one by one, while everything else goes on; doing it twice changes nothing more."""
    checked, changed = reencrypt_answers(dry_run=dry_run)
    keys, moved, users = reencrypt_keys(dry_run=dry_run)
    checked, changed = checked + keys, changed + moved
    undecryptable: list[int] = []
    rows = Webhook.objects.order_by("pk").values("pk", *_FIELDS, "previous_secrets")
    for row in rows.iterator(chunk_size=500):
        stored = [*((name, row[name]) for name in _FIELDS), *_earlier(row["previous_secrets"])]
        for name, value in stored:
            if not value:
                continue
            checked += 1
            try:
                new = under_newest_key(value)
            except Undecryptable:
                undecryptable.append(row["pk"])
                continue
            if new is not None and (dry_run or _replaced(row["pk"], name, value, new)):
                changed += 1
    return Reencrypted(
        checked=checked,
        changed=changed,
        undecryptable=tuple(dict.fromkeys(undecryptable)),
        undecryptable_users=tuple(users),
    )


def _earlier(previous_secrets: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [("previous_secrets", each["secret"]) for each in previous_secrets]


def _replaced(pk: int, name: str, old: str, new: str) -> bool:
    if name == "previous_secrets":
        return _replaced_among_the_earlier(pk, old, new)
    # Only what is still the same: somebody may rotate it in this very moment. No version: nothing changed for people.
    return Webhook.objects.filter(pk=pk, **{name: old}).update(**{name: new}) == 1


@transaction.atomic
def _replaced_among_the_earlier(pk: int, old: str, new: str) -> bool:
    webhook = Webhook.objects.filter(pk=pk).select_for_update(no_key=True).first()
    if webhook is None or old not in (each["secret"] for each in webhook.previous_secrets):
        return False
    webhook.previous_secrets = [
        each | {"secret": new} if each["secret"] == old else each for each in webhook.previous_secrets
    ]
    webhook.save(update_fields=["previous_secrets"])
    return True
