"""`/public/notes`: texts on leads."""

from typing import Any

from apikeys.scopes import Resource, Scope
from calliyo.actor import ActorType
from calliyo.api.filters import StrictFilterSet
from calliyo.api.inputs import Input
from leads.api.base import CRMViewSet
from leads.api.filters import IdsFilter, WordsFilter
from leads.api.inputs import RowField, TextField
from leads.api.leads import LeadViewSet
from leads.api.shapes import NoteShape
from leads.api.writing import WritableViewSet
from leads.models import Lead, Note
from leads.operations.errors import InvalidNote
from leads.operations.notes import MAX_NOTE, add_note, delete_note, edit_note
from leads.pictures import NOTE_COLUMNS, Picture, note_picture


class NoteFilters(StrictFilterSet):
    lead_id = IdsFilter("lead")
    search = WordsFilter("text")


class NoteChangesInput(Input):
    text = TextField(max_length=MAX_NOTE)


class NoteInput(NoteChangesInput):
    lead_id = RowField(model=Lead, source="lead")


class NoteViewSet(WritableViewSet):
    resource = Resource.NOTES
    model = Note
    columns = NOTE_COLUMNS
    shape = NoteShape
    filters = NoteFilters
    input = NoteInput
    changes_input = NoteChangesInput
    refusals = (InvalidNote,)

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

    def add(self, values: dict[str, Any]) -> int:
        return add_note(**values).pk

    def change(self, row: Note, values: dict[str, Any]) -> None:
        if values:
            edit_note(note=row, **values)

    def remove(self, row: Note) -> None:
        delete_note(note=row)
