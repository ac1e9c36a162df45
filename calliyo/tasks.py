"""Housekeeping that belongs to no app; what runs when is in the settings (`CELERY_BEAT_SCHEDULE`)."""

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore


@shared_task(name="calliyo.forget_expired_sessions", ignore_result=True)
def forget_expired_sessions() -> None:
    """Deletes the sessions that nobody can use any more."""
    SessionStore.clear_expired()
