"""The Celery application. What it is set to comes from `calliyo.settings` (`CELERY_…`)."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calliyo.settings")

app = Celery("calliyo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """That somebody listens is what keeps Celery from setting up logging over the settings' own."""


@worker_ready.connect
def _say_ready(**_: Any) -> None:
    logger.info("worker.ready")
