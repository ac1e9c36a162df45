"""Who may log in, and what each role may do: the password's authentication backend (`second_step`: the code's).

Permissions follow from the role alone, in the table below; Django's permission rows and groups are not used.
"""

from collections.abc import Mapping

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from leads.models import Role, User

_ALL = frozenset({"view", "add", "change", "delete"})
_WORK = frozenset({"view", "add", "change"})
_LOOK = frozenset({"view"})

# What managers and agents may do, by model of `leads`; nothing outside it. A company admin may do everything.
_MAY: Mapping[str, Mapping[str, frozenset[str]]] = {
    Role.MANAGER: {
        "lead": _ALL,
        "customer": _ALL,
        "call": _ALL,
        "followup": _ALL,
        "note": _ALL,
        "tag": _ALL,
        "campaign": _ALL,
        "leadstatus": _ALL,
        "user": _LOOK,
        "activity": _LOOK,
        "deletion": _LOOK,
        "externalid": _LOOK,
    },
    Role.AGENT: {
        "lead": _WORK,
        "customer": _LOOK | {"change"},
        "call": _WORK,
        "followup": _WORK,
        "note": _WORK,
        "tag": _LOOK,
        "campaign": _LOOK,
        "leadstatus": _LOOK,
        "user": _LOOK,
        "activity": _LOOK,
    },
}


class RoleBackend(BaseBackend):
    """Login by user name or email address, in any case; permissions by role; the banned stay out."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: object,
    ) -> User | None:
        """The user with this name or address and password, unless he is banned; else none.

        The time taken tells nothing of who exists: an unknown name costs one hashing of the password, as a
        known one does.
        """
        if not username or password is None or "\x00" in username:
            return None
        user = _named(username)
        if user is None:
            User().set_password(password)
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: int) -> User | None:
        """The user of a session; none when he was banned or deleted since."""
        user: User | None = User.objects.filter(pk=user_id, is_active=True).first()
        return user

    def has_perm(
        self, user_obj: AbstractBaseUser | AnonymousUser, perm: str, obj: Model | None = None
    ) -> bool:
        """Whether the user's role allows `app.action_model`; roles make no difference between objects."""
        if not isinstance(user_obj, User) or not user_obj.is_active:
            return False
        if user_obj.role == Role.COMPANY_ADMIN:
            return True
        app, _, codename = perm.partition(".")
        action, _, model = codename.partition("_")
        return app == "leads" and action in _MAY.get(user_obj.role, {}).get(model, frozenset())

    def has_module_perms(self, user_obj: AbstractBaseUser | AnonymousUser, app_label: str) -> bool:
        """Whether the user may see anything of an app."""
        if not isinstance(user_obj, User) or not user_obj.is_active:
            return False
        return user_obj.role == Role.COMPANY_ADMIN or app_label == "leads"

    def get_all_permissions(
        self, user_obj: AbstractBaseUser | AnonymousUser, obj: Model | None = None
    ) -> set[str]:
        """What managers and agents may do, spelled out; the admin pages ask `has_perm` instead."""
        if not isinstance(user_obj, User) or not user_obj.is_active:
            return set()
        return {
            f"leads.{action}_{model}"
            for model, actions in _MAY.get(user_obj.role, {}).items()
            for action in actions
        }


def _named(username: str) -> User | None:
    """Who has this user name; else who has it as his address. An address never shadows somebody's name."""
    found: QuerySet[User] = User.objects.filter(Q(username__iexact=username) | Q(email__iexact=username))
    by_name: list[User] = sorted(found, key=lambda user: user.username.casefold() != username.casefold())
    return by_name[0] if by_name else None
