"""Notes on leads and customers."""

from django.db import models
from django.db.models import Q

from calliyo.fields import ActorTypeField
from calliyo.indexes import WordsIndex
from leads.models.base import Resource
from leads.models.lead import Lead


class Note(Resource):
    """Text on a lead. Its author is kept as plain values, so that it outlives them."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="notes", db_index=False)
    text = models.TextField()
    author_type = ActorTypeField(editable=False)
    author_id = models.BigIntegerField(null=True, blank=True, editable=False)
    author_name = models.CharField(max_length=200, blank=True, editable=False)

    path = "notes"

    class Meta(Resource.Meta):
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="note_has_text")]
        indexes = [
            models.Index(fields=["lead", "id"], name="note_by_lead"),
            models.Index(fields=["updated_at", "id"], name="note_by_updated_at"),
            models.Index(fields=["created_at", "id"], name="note_by_created_at"),
            WordsIndex(fields=["text"], name="note_by_words"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
