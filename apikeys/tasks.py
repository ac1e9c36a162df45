"""Celery's ways in. What runs when is in the settings (`CELERY_BEAT_SCHEDULE`)."""

from celery import shared_task

from apikeys import idempotency, retention


@shared_task(name="apikeys.prune_idempotency_records", ignore_result=True)
def prune_idempotency_records() -> None:
    """Forgets the answers to `Idempotency-Key`s that are a day old."""
    idempotency.prune()


@shared_task(name="apikeys.prune_usage", ignore_result=True)
def prune_usage() -> None:
    """Forgets counts of calls and refused calls that are older than they are kept."""
    retention.prune_usage()
