"""`/public/tags`: labels on leads."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import StrictFilterSet, TextFilter
from calliyo.api.inputs import Input
from leads.api.filters import WordsFilter
from leads.api.inputs import TextField
from leads.api.shapes import TagShape
from leads.api.writing import WritableViewSet
from leads.models import Tag
from leads.operations.errors import DuplicateName, InvalidName
from leads.operations.tags import create_tag, delete_tag, rename_tag
from leads.pictures import TAG_COLUMNS, Picture, tag_picture


class TagFilters(StrictFilterSet):
    name = TextFilter("name", "iexact")
    search = WordsFilter("name")


class TagInput(Input):
    name = TextField(max_length=100)


class TagViewSet(WritableViewSet):
    resource = Resource.TAGS
    model = Tag
    columns = TAG_COLUMNS
    shape = TagShape
    filters = TagFilters
    default_ordering = "id"
    input = changes_input = TagInput
    refusals = (DuplicateName, InvalidName)

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [tag_picture(row) for row in rows]

    def add(self, values: dict[str, Any]) -> int:
        return create_tag(**values).pk

    def change(self, row: Tag, values: dict[str, Any]) -> None:
        if values:
            rename_tag(tag=row, **values)

    def remove(self, row: Tag) -> None:
        delete_tag(tag=row)
