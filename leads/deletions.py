"""Leaves a `Deletion` for each resource row that goes, cascades too: Django sends `post_delete` for all of them."""

from typing import Any

from django.apps import apps
from django.db import models

from calliyo.unit_of_work import part_of_unit


def note_deletion(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    """Receives `post_delete`."""
    path = getattr(sender._meta.concrete_model, "path", None)
    if not isinstance(path, str):
        return  # no resource; or a model with a field of that name
    with part_of_unit() as unit:
        deletion = apps.get_model("leads", "Deletion")
        deletion.note(path, [instance.pk], unit.stamp())
        if getattr(instance, "converted_at", None) is not None:
            deletion.note("customers", [instance.pk], unit.stamp())
