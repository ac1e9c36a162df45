"""What the nine resources share: the scope that their path names, and columns that gather many rows."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import BigIntegerField, CharField, F, Func, JSONField, OuterRef, QuerySet, Subquery
from django.db.models.sql.compiler import SQLCompiler
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from apikeys.callers import API_KEY, Caller, caller_of
from apikeys.permissions import needed_scope, refused
from apikeys.scopes import Access, Resource, scope_for
from calliyo.api.described import described
from calliyo.api.filters import MomentFilter, NamedFilterSet
from calliyo.api.lists import Listing
from calliyo.api.problems import FieldError
from calliyo.api.views import ResourceViewSet
from calliyo.statements import Parameter, Statement
from leads.api.shapes import DeletedShape
from leads.models import Deletion, ExternalId, LeadTag
from leads.pictures import moment


class DeletedFilters(NamedFilterSet):
    deleted_after = MomentFilter("deleted_at", "gte")
    deleted_before = MomentFilter("deleted_at", "lt")


class CRMViewSet(ResourceViewSet):
    """A resource of the CRM. `resource` decides the scope; its path names it in cursors, too."""

    resource: ClassVar[Resource]
    needs_only_the_key = True

    def list_name(self) -> str:
        """The resource's path."""
        return self.resource.value

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return caller_of(self.request)

    def may_read(self) -> bool:
        """Whether the caller may see what it has written."""
        scope = scope_for(self.resource, Access.READ)
        return scope is not None and self.caller.may(scope)

    def parameters(self) -> dict[str, Any]:
        """The key that asks: a lead shows it its own `external_id`."""
        return {API_KEY: self.caller.key.pk}

    @described(parameters=DeletedFilters.fields(), answers={200: DeletedShape})
    def list(self, request: Request) -> HttpResponseBase:
        """The resource's rows; with `deleted_after`, those that are gone."""
        if "deleted_after" in request.query_params:
            return DeletedList(request, self.resource.value).list(request)
        return super().list(request)

    @classmethod
    def expandable(cls) -> "dict[str, type[CRMViewSet]]":
        """What may be embedded; each needs the scope that reading it needs."""
        return {}

    def check_expansions(self, names: Sequence[str]) -> None:
        """Refuses to embed what this key may not read."""
        for name in names:
            needed = needed_scope(self.expandable()[name].resource, "GET")
            if needed is not None and not self.caller.may(needed):
                detail = f"To expand {name}, the API key needs the scope {needed.value}."
                error = FieldError(field="expand", code="insufficient_scope", detail=detail)
                raise refused(detail, needed, errors=(error,))

    def expansions(self, name: str, ids: set[int]) -> dict[int, dict[str, Any]]:
        """The rows as their own list shows them to this caller."""
        view = self.expandable()[name]()
        view.request = self.request
        rows = view.rows().filter(pk__in=ids).values_list(*view.columns_read())
        pictures = view.pictures(Statement.of(rows).fetch(view.parameters(), prepared=False))
        return {picture["id"]: picture for picture in pictures}


class DeletedList(Listing):
    """What is gone of a resource, named as `Deletion` names it, in the order in which it went."""

    model = Deletion
    columns = ("deleted_at", "id", "object_id")
    filters = DeletedFilters
    orderings = ("deleted_at",)
    shape = DeletedShape
    sync_field = "deleted_at"

    def __init__(self, request: Request, resource: str) -> None:
        self.request = request
        self.resource = resource

    @classmethod
    def rows(cls) -> "QuerySet[Any, Any]":
        """Those of one resource."""
        return Deletion.objects.filter(resource=Parameter("resource", CharField()))

    def parameters(self) -> dict[str, Any]:
        """Which resource."""
        return {"resource": self.resource}

    def list_name(self) -> str:
        """The resource's path, and that these are no more."""
        return f"{self.resource}-deleted"

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Id and time."""
        return [{"id": pk, "deleted_at": moment(at)} for at, _, pk in rows]


class GatheredField(JSONField):
    """A list: of PostgreSQL's driver as it is, of SQLite as JSON."""

    def get_db_converters(self, connection: Any) -> list[Any]:
        """None for PostgreSQL: there it is an array."""
        return [] if connection.vendor == "postgresql" else super().get_db_converters(connection)


class Gathered(Subquery):
    """The column `item` of a subquery as one list, so that the page stays one statement."""

    output_field = GatheredField()

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """PostgreSQL's own arrays, which its driver reads."""
        template = "ARRAY(%(subquery)s)"
        return super().as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """SQLite's own aggregate."""
        template = "(SELECT json_group_array(item) FROM (%(subquery)s))"
        return super().as_sql(compiler, connection, template=template, **context)


class Spelled(Func):
    """A time as JSON spells it, which the databases do in a fraction of the time that Python takes for a page."""

    output_field = CharField()

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """In the connection's time zone, which Django sets to UTC."""
        template = """to_char(%(expressions)s, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """As it is stored: in UTC."""
        template = "strftime('%%%%Y-%%%%m-%%%%dT%%%%H:%%%%M:%%%%fZ', %(expressions)s)"
        return self.as_sql(compiler, connection, template=template, **context)


def with_spelled_times(columns: tuple[str, ...]) -> tuple[Any, ...]:
    """A lead's columns, the times that are only shown as text."""
    return tuple(Spelled(name) if name.endswith("_at") else name for name in columns)


def tag_names() -> "Subquery[Any]":
    """The names of a lead's tags, in no order."""
    return Gathered(LeadTag.objects.filter(lead=OuterRef("pk")).values(item=F("tag__name")))


def own_external_id() -> "Subquery[Any]":
    """What the key that asks calls the lead; null where it has not said."""
    asking = Parameter(API_KEY, BigIntegerField())
    return Subquery(ExternalId.objects.filter(lead=OuterRef("pk"), api_key_id=asking).values("value")[:1])
