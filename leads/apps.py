"""The CRM as an app."""

from django.apps import AppConfig
from django.db.models.signals import post_delete

from leads.deletions import note_deletion


class LeadsConfig(AppConfig):
    name = "leads"
    verbose_name = "CRM"

    def ready(self) -> None:
        post_delete.connect(note_deletion, dispatch_uid="leads.note_deletion")
