"""Celery's ways in. A task is a poke or a chore; what is delivered is in the database."""

from celery import shared_task

from calliyo import publisher
from webhooks import backlog, chores, last_day, notices, pruning, resending
from webhooks.delivery import worker
from webhooks.delivery.clock import database_now


@shared_task(name="webhooks.poke", ignore_result=True)
def poke(webhook_ids: list[int]) -> None:
    """These webhooks may have something due."""
    worker.poke(webhook_ids)


@shared_task(name=publisher.ORDERS, ignore_result=True)
def resend(order_ids: list[int]) -> None:
    """These events were ordered to be sent again."""
    resending.carry_on_as_task(order_ids)


@shared_task(name="webhooks.clean_up", ignore_result=True)
def clean_up() -> None:
    """What deleted and turned-off webhooks have left behind, secrets whose overlap is over, notices that are owed.

    And what people ordered to be sent again, where it was too much for one request; and a line on what waits, for
    those who watch the log.
    """
    chores.delete_leftovers()
    chores.mark_missed()
    chores.forget_previous_secrets()
    notices.send_owed()
    resending.carry_on()
    backlog.tell()


@shared_task(name="webhooks.prune", ignore_result=True)
def prune() -> None:
    """What is older than the company keeps; goes on at the next call where it is much."""
    pruning.prune(longest=pruning.LONGEST)
    last_day.forget_old(database_now())
