"""The Celery application. What it is set to comes from `calliyo.settings` (`CELERY_…`)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calliyo.settings")

app = Celery("calliyo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
