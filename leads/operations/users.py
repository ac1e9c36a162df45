"""The team: who is banned, and who can be deleted."""

from collections.abc import Collection

from django.utils.translation import gettext

from calliyo.unit_of_work import unit_of_work
from leads.models import Call, FollowUp, Lead, Role, User
from leads.operations.errors import LastCompanyAdmin, UserHasHistory


@unit_of_work
def save_user(*, user: User) -> User:
    """Writes a new or changed user; raises LastCompanyAdmin when nobody would be left to manage Calliyo."""
    if user.role != Role.COMPANY_ADMIN or not user.is_active:
        _refuse_without_admin([user.pk] if user.pk else [])
    if user.role != Role.COMPANY_ADMIN:
        user.is_superuser = False  # Django lets a superuser do everything, whatever his role
    user.save()
    return user


@unit_of_work
def set_banned(*, users: Collection[User], banned: bool) -> int:
    """Bans the users, or lets them in again, and says for how many that is new; raises LastCompanyAdmin."""
    pks = [user.pk for user in users]
    if banned:
        _refuse_without_admin(pks)
    changed: int = User.rows.filter(pk__in=pks, is_active=banned).update(is_active=not banned)
    return changed


@unit_of_work
def delete_user(*, user: User) -> None:
    """Deletes a user who has done nothing yet.

    Raises UserHasHistory for one who has leads, calls or follow-ups: these would be nobody's; he can be banned.
    """
    _refuse_without_admin([user.pk])
    history = {
        gettext("leads"): Lead.rows.filter(owner=user).exists(),
        gettext("calls"): Call.rows.filter(agent=user).exists(),
        gettext("follow-ups"): FollowUp.rows.filter(owner=user).exists(),
    }
    kept = [name for name, has in history.items() if has]
    if kept:
        raise UserHasHistory(
            gettext("%(user)s has %(what)s and can't be deleted. Ban the user instead.")
            % {"user": user, "what": ", ".join(kept)}
        )
    user.delete()


def _refuse_without_admin(leaving: Collection[int]) -> None:
    """Raises LastCompanyAdmin when no active company admin remains beside those who leave."""
    admins = User.rows.filter(role=Role.COMPANY_ADMIN, is_active=True).order_by("pk")
    # Locked, so that two admins who ban each other at once do not both succeed.
    active = set(admins.select_for_update(no_key=True).values_list("pk", flat=True))
    if active & set(leaving) and not active - set(leaving):
        raise LastCompanyAdmin(gettext("This is the last active company admin: make another one first."))
