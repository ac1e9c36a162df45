"""Indexes that Django has no word for."""

from typing import Any

from django.db import models
from django.db.models import Q


class WordsIndex(models.Index):
    """Finds a piece of a text, or the whole, in any of its fields, case ignored: `icontains` and `iexact`.

    PostgreSQL's trigrams (its migration creates the extension first). Other databases look through the rows; there the
    index holds none, so that it costs nothing.
    """

    def create_sql(
        self, model: type[models.Model], schema_editor: Any, using: str = "", **options: Any
    ) -> Any:
        if schema_editor.connection.vendor != "postgresql":
            empty = models.Index(fields=self.fields, name=self.name, condition=Q(pk=None))
            return empty.create_sql(model, schema_editor, using, **options)
        columns = [
            schema_editor.quote_name(field.column)
            for field in model._meta.concrete_fields
            if field.name in self.fields
        ]
        # As Django spells the comparison: UPPER("name"::text) LIKE UPPER('%word%').
        spelled = ", ".join(f"upper({column}::text) gin_trgm_ops" for column in columns)
        table, name = schema_editor.quote_name(model._meta.db_table), schema_editor.quote_name(self.name)
        # What was written last is looked through at each search until it is sorted in; a small heap of it, often.
        return f"CREATE INDEX {name} ON {table} USING gin ({spelled}) WITH (gin_pending_list_limit = 256)"
