"""What the documents tell readers to do is run here."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
import requests
from django.db import connection

from tests.clients import public_client
from tests.pages import Page
from tests.webhooks.engines import new_lead
from webhooks.models import Event

CATCH_UP = Page("catch-up.md")


def in_its_own_connection(write: Callable[[], object]) -> None:
    try:
        write()
    finally:
        connection.close()


class Enough(Exception):
    """Ends the reader, which never ends by itself."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [None, "latest"])
def test_the_six_line_reader_gets_every_event_in_order_and_keeps_its_place(live_server, watcher, start):
    reader = CATCH_UP.block("python")
    assert len(reader.splitlines()) == 6
    for number in range(60):
        new_lead(number)
    calliyo = requests.Session()
    calliyo.headers["Authorization"] = f"Bearer {public_client('leads:read').token}"
    got: list[str] = []
    kept: list[str] = []

    def keep(place: str) -> str:
        kept.append(place)
        if len(got) >= (60 if start is None else 2):
            raise Enough
        if start == "latest":
            new_lead(200 + len(kept))
        return place

    names = {
        "calliyo": calliyo, "CALLIYO": live_server.url, "after": start, "keep": keep,
        "handle": lambda event: got.append(event["id"]),
    }  # fmt: skip
    if start == "latest":
        # Nothing has happened since: the first answer is held until something does.
        threading.Timer(1.0, in_its_own_connection, [partial(new_lead, 100)]).start()
    with pytest.raises(Enough), calliyo:
        exec(reader, names)  # noqa: S102 (the page's own code is what is tested)
    ids = [event.public_id for event in Event.objects.order_by("position")]
    assert got == (ids if start is None else ids[60:])
    assert len(kept) >= 2
