"""What beat sends: tasks that exist, in messages that do not pile up."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from calliyo.celery import app
from calliyo.tasks import forget_expired_sessions


def test_every_entry_names_a_task_and_expires():
    app.loader.import_default_modules()
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"] > 0, name


@pytest.mark.django_db
def test_sessions_are_forgotten_once_nobody_can_use_them():
    for key in ("over-and-done", "still-alive"):
        SessionStore(key).save(must_create=True)
    Session.objects.filter(session_key="over-and-done").update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    forget_expired_sessions()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["still-alive"]
