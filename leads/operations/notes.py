"""Notes on leads and customers."""

from django.utils.translation import gettext

from calliyo.actor import Actor, current_actor
from calliyo.unit_of_work import unit_of_work
from leads.models import Lead, Note
from leads.operations.errors import InvalidNote

MAX_NOTE = 10_000


@unit_of_work
def add_note(*, lead: Lead, text: str, author: Actor | None = None) -> Note:
    """A note by the one who acts, unless another author is named; raises InvalidNote."""
    by = author or current_actor()
    note = Note(
        lead=lead, text=_clean(text), author_type=by.type, author_id=by.id, author_name=(by.name or "")[:200]
    )
    note.save()
    return note


@unit_of_work
def edit_note(*, note: Note, text: str) -> Note:
    """Replaces the text; author and time stay. Raises InvalidNote."""
    now: Note = Note.rows.select_for_update(no_key=True).get(pk=note.pk)
    now.text = _clean(text)
    now.save(update_fields=["text"])
    return now


@unit_of_work
def delete_note(*, note: Note) -> None:
    """Deletes the note."""
    note.delete()


def _clean(text: str) -> str:
    cleaned = text.strip()
    if not cleaned:
        raise InvalidNote(gettext("The note has no text."))
    if len(cleaned) > MAX_NOTE:
        raise InvalidNote(gettext("A note has at most %(most)s characters.") % {"most": f"{MAX_NOTE:,}"})
    return cleaned
