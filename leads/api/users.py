"""`/public/users`: those who work here."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import FlagFilter, StrictFilterSet, TextFilter, WordFilter
from leads.api.base import CRMViewSet
from leads.api.filters import WordsFilter
from leads.api.shapes import UserShape
from leads.models import Role, User
from leads.pictures import USER_COLUMNS, Picture, user_picture


class UserFilters(StrictFilterSet):
    role = WordFilter("role", words=Role.values)
    active = FlagFilter("is_active")
    name = TextFilter("name", "iexact")
    phone = TextFilter("phone")
    email = TextFilter("email", "iexact")
    employee_code = TextFilter("employee_code")
    search = WordsFilter("name", "email", "phone", "employee_code")


class UserViewSet(CRMViewSet):
    resource = Resource.USERS
    model = User
    columns = USER_COLUMNS
    shape = UserShape
    filters = UserFilters
    default_ordering = "id"

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [user_picture(row) for row in rows]
