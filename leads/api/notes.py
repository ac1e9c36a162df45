"""`/public/notes`: texts on leads."""

from typing import Any

from apikeys.scopes import Resource, Scope
from calliyo.actor import ActorType
from calliyo.api.filters import StrictFilterSet
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.leads import LeadViewSet
from leads.api.shapes import NoteShape
from leads.models import Note
from leads.pictures import NOTE_COLUMNS, Picture, note_picture


class NoteFilters(StrictFilterSet):
    lead_id = IdsFilter("lead")
    search = WordsFilter("text")


class NoteViewSet(CRMViewSet):
    resource = Resource.NOTES
    model = Note
    columns = NOTE_COLUMNS
    shape = NoteShape
    filters = NoteFilters

    @classmethod
    def expandable(cls) -> dict[str, type[CRMViewSet]]:
        return {"lead": LeadViewSet}

    def pictures(self, rows: list[tuple[Any, ...]]) -> list[Picture]:
        """Users' names are for keys that may read users."""
        pictures = [note_picture(row) for row in rows]
        if not self.caller.may(Scope.USERS_READ):
            for picture in pictures:
                if picture["author"]["type"] == ActorType.USER:
                    picture["author"]["name"] = None
        return pictures
