"""Switching a user's second factor on and off, and moving its key under the newest field key."""

import structlog
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import F
from django.utils.translation import gettext

from calliyo.actor import ActorType, current_actor
from calliyo.encryption import Undecryptable, encrypt, under_newest_key
from calliyo.unit_of_work import unit_of_work
from leads import codes
from leads.models import SecondFactor, User
from leads.operations.errors import NoSecondFactor, WrongCode

log = structlog.get_logger(__name__)


@unit_of_work
def switch_on(*, user: User, key: str, code: str) -> list[str]:
    """Takes an app's key into use, in place of an earlier one, and gives the recovery codes, this once.

    Every session of the user ends; the caller may keep its own. Raises WrongCode where the app does not have this key.
    """
    step = codes.step_of(codes.bare(code), key)
    if step is None:
        raise WrongCode(
            gettext("This is not the code that belongs to this key. Is the clock of the phone right?")
        )
    User.rows.filter(pk=user.pk).update(has_second_factor=True, login_epoch=F("login_epoch") + 1)
    user.refresh_from_db(fields=["has_second_factor", "login_epoch"])
    recovery_codes = codes.new_recovery_codes()
    SecondFactor.objects.filter(user=user).delete()
    SecondFactor.objects.create(
        user=user,
        key=encrypt(key),
        last_step=step,
        recovery_digests=[codes.digest(each) for each in recovery_codes],
    )
    _note(user, "second_factor.switched_on", gettext("Switched on a second factor."))
    return recovery_codes


@unit_of_work
def renew_recovery_codes(*, user: User) -> list[str]:
    """Ten new recovery codes; the earlier ones are void."""
    factor = SecondFactor.objects.select_for_update(no_key=True).get(user=user)
    recovery_codes = codes.new_recovery_codes()
    factor.recovery_digests = [codes.digest(each) for each in recovery_codes]
    factor.save(update_fields=["recovery_digests"])
    _note(user, "second_factor.recovery_codes_made", gettext("Made new recovery codes."))
    return recovery_codes


@unit_of_work
def switch_off(*, user: User) -> None:
    """From now on the password is enough; raises NoSecondFactor where it was already."""
    cleared: int = User.rows.filter(pk=user.pk, has_second_factor=True).update(has_second_factor=False)
    if not cleared:
        raise NoSecondFactor(gettext("%(user)s has no second factor.") % {"user": user.get_username()})
    SecondFactor.objects.filter(user=user).delete()
    _note(user, "second_factor.switched_off", gettext("Switched off the second factor."))


def reencrypt_keys(*, dry_run: bool) -> tuple[int, int, list[int]]:
    """Moves keys under the newest field key: how many there are, were (or would be) moved; and whose no key opens."""
    checked = changed = 0
    undecryptable = []
    for pk, user_id, key in (
        SecondFactor.objects.order_by("pk").values_list("pk", "user_id", "key").iterator()
    ):
        checked += 1
        try:
            new = under_newest_key(key)
        except Undecryptable:
            undecryptable.append(user_id)
            continue
        if new is not None:
            # Only what is still the same: it may be replaced in this very moment.
            changed += 1 if dry_run else SecondFactor.objects.filter(pk=pk, key=key).update(key=new)
    return checked, changed, undecryptable


def _note(user: User, event: str, text: str) -> None:
    """Says in the log, and in the user's history in the admin, what was done and by whom."""
    actor = current_actor()
    log.info(event, user=user.pk, actor_type=actor.type, actor_id=actor.id)
    if actor.type == ActorType.USER and actor.id is not None:
        LogEntry.objects.log_actions(actor.id, [user], CHANGE, text, single_object=True)
