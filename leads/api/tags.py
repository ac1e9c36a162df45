"""`/public/tags`: labels on leads."""

from typing import Any

from apikeys.scopes import Resource
from calliyo.api.filters import StrictFilterSet, TextFilter
from leads.api.base import CRMViewSet
from leads.api.filters import WordsFilter
from leads.api.shapes import TagShape
from leads.models import Tag
from leads.pictures import TAG_COLUMNS, Picture, tag_picture


class TagFilters(StrictFilterSet):
    name = TextFilter("name", "iexact")
    search = WordsFilter("name")


class TagViewSet(CRMViewSet):
    resource = Resource.TAGS
    model = Tag
    columns = TAG_COLUMNS
    shape = TagShape
    filters = TagFilters
    default_ordering = "id"

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        return [tag_picture(row) for row in rows]
