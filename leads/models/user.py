"""Those who work here: admins, managers and agents."""

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from leads.models.base import Resource, WrittenManager, WrittenQuerySet
from leads.models.locking import Row


class Role(models.TextChoices):
    COMPANY_ADMIN = "company_admin", _("Company Admin")
    MANAGER = "manager", _("Manager")
    AGENT = "agent", _("Agent")


class CalliyoUserManager(UserManager.from_queryset(WrittenQuerySet)[Any]):  # type: ignore[misc]
    """Django's own way to make users, with writes that are announced."""

    use_in_migrations = False

    def create_user(
        self, username: str, email: str | None = None, password: str | None = None, **more: Any
    ) -> Any:
        return super().create_user(username, email, password, **{"is_staff": True, **more})

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **more: Any
    ) -> Any:
        return super().create_superuser(username, email, password, **{"role": Role.COMPANY_ADMIN, **more})


class User(Resource, AbstractUser):
    """An agent, manager or company admin. `is_active` false is banned."""

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    date_joined = None  # type: ignore[assignment]
    name = models.CharField(max_length=150)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=20, blank=True)
    employee_code = models.CharField(max_length=50, blank=True)
    role = models.CharField(max_length=13, choices=Role.choices, default=Role.AGENT)
    lead_cap = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="the most leads, not counting converted ones, that this agent may hold",
    )
    is_staff = models.BooleanField(default=True, editable=False)
    # Beside the password: kept here too, so that no request has to ask another table.
    has_second_factor = models.BooleanField(default=False, editable=False)
    login_epoch = models.PositiveIntegerField(
        default=0, editable=False
    )  # sessions of an earlier one have ended

    objects: ClassVar[CalliyoUserManager] = CalliyoUserManager()
    rows: ClassVar[WrittenManager] = WrittenManager()

    unversioned = frozenset({"last_login", "password", "has_second_factor", "login_epoch"})
    shown_by_others = True
    REQUIRED_FIELDS = ["email", "name"]

    path = "users"

    class Meta(Resource.Meta):
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_unique"),
            models.UniqueConstraint(Lower("email"), condition=~Q(email=""), name="user_email_unique"),
            models.UniqueConstraint(
                fields=["employee_code"], condition=~Q(employee_code=""), name="user_employee_code_unique"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="user_role_known"),
        ]

    def __str__(self) -> str:
        return self.name or self.username

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self).split(" ")[0]

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must bear to be this user's; as Django's own until a second factor was first switched on."""
        of_password: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{of_password}-{self.login_epoch}" if self.login_epoch else of_password

    @classmethod
    def touched_by(
        cls, rows: Iterable[Row], fields: Collection[str] | None
    ) -> dict[type[Resource], set[int]]:
        """A user who goes leaves the campaigns that name him."""
        if fields is not None:
            return {}
        links = cls._meta.get_field("campaigns").through  # type: ignore[union-attr]
        users = [row["id"] for row in rows if row["id"] is not None]
        campaigns = (
            set(links.objects.filter(user_id__in=users).values_list("campaign_id", flat=True))
            if users
            else set()
        )
        return {links._meta.get_field("campaign").related_model: campaigns} if campaigns else {}
