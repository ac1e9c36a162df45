"""What the nine resources share: the scope that their path names, and columns that gather many rows."""

from typing import Any, ClassVar

from django.db.models import F, JSONField, OuterRef, Subquery
from django.db.models.sql.compiler import SQLCompiler

from apikeys.callers import Caller, caller_of
from apikeys.scopes import Access, Resource, scope_for
from calliyo.api.views import ResourceViewSet
from leads.models import ExternalId, LeadTag


class CRMViewSet(ResourceViewSet):
    """A resource of the CRM. `resource` decides the scope; its path names it in cursors, too."""

    resource: ClassVar[Resource]

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


class Gathered(Subquery):
    """The column `item` of a subquery as one JSON list, so that the page stays one statement."""

    output_field = JSONField()

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """PostgreSQL's own aggregate."""
        template = "(SELECT coalesce(jsonb_agg(item), '[]') FROM (%(subquery)s) gathered)"
        return super().as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """SQLite's own aggregate."""
        template = "(SELECT json_group_array(item) FROM (%(subquery)s))"
        return super().as_sql(compiler, connection, template=template, **context)


def tag_names() -> "Subquery[Any]":
    """The names of a lead's tags, in no order."""
    return Gathered(LeadTag.objects.filter(lead=OuterRef("pk")).values(item=F("tag__name")))


def external_id_for(api_key_id: int) -> "Subquery[Any]":
    """What this key calls the lead; null where it has not said."""
    return Subquery(ExternalId.objects.filter(lead=OuterRef("pk"), api_key_id=api_key_id).values("value")[:1])
