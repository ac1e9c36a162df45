"""Notes and who wrote them."""

import pytest

from calliyo.actor import Actor, ActorType, acting_as
from leads.models import Note
from leads.operations.errors import InvalidNote
from leads.operations.notes import add_note, delete_note, edit_note
from tests.leads.factories import CustomerFactory, LeadFactory

pytestmark = pytest.mark.django_db
AGENT = Actor(type=ActorType.USER, id=7, name="Farheen Shaikh")
KEY = Actor(type=ActorType.API_KEY, id=3, name="Zoho production")


def test_a_note_keeps_its_author_as_plain_values() -> None:
    with acting_as(AGENT):
        note = add_note(lead=CustomerFactory(), text="  Call after 6 pm ")
    assert (note.text, note.author_type, note.author_id) == ("Call after 6 pm", "user", 7)
    assert note.author_name == "Farheen Shaikh"
    assert add_note(lead=LeadFactory(), text="From Zoho", author=KEY).author_type == "api_key"


def test_an_edit_replaces_the_text_and_leaves_the_author() -> None:
    note = add_note(lead=LeadFactory(), text="Old", author=AGENT)
    with acting_as(KEY):
        edited = edit_note(note=note, text="New")
    assert (edited.text, edited.author_name, edited.version) == ("New", "Farheen Shaikh", 2)
    delete_note(note=note)
    assert not Note.objects.exists()


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 10_001])
def test_a_note_needs_text_and_not_too_much(text: str) -> None:
    with pytest.raises(InvalidNote):
        add_note(lead=LeadFactory(), text=text)
    assert not Note.objects.exists()
