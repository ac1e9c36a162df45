"""What the documents tell readers to do is run here."""

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import requests
from django.db import connection

from tests.clients import public_client
from tests.processes import ROOT
from tests.webhooks.engines import new_lead
from webhooks.models import Event

PAGE = (ROOT / "docs" / "verify-a-signature.md").read_text()
CATCH_UP = (ROOT / "docs" / "catch-up.md").read_text()
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
BODY = '{"id":"evt_1","data":{"lead":{"first_name":"Aşha"}}}'.encode()


def snippet(language: str, page: str = PAGE) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def signature(secret: str = SECRET, body: bytes = BODY, *, at: float | None = None) -> str:
    moment = int(at or time.time())
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


WRONG = {
    "another secret": signature("whsec_other"),
    "another body": signature(body=BODY + b" "),
    "too old": signature(at=time.time() - 3600),
    "from the future": signature(at=time.time() + 3600),
    "empty": "",
    "no time": "v1=" + "0" * 64,
    "no signature": f"t={int(time.time())}",
    "nonsense": "t=abc,v1=xyz,,=",
    "not hex": f"t={int(time.time())},v1=é",
}


def in_its_own_connection(write: Callable[[], object]) -> None:
    try:
        write()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def python_check():
    namespace: dict = {}
    exec(snippet("python"), namespace)  # noqa: S102 (the page's own code is what is tested)
    return namespace["is_from_calliyo"]


def test_the_python_snippet_takes_what_calliyo_signs(python_check):
    assert python_check(SECRET, signature(), BODY) is True


def test_the_python_snippet_takes_either_signature_while_a_secret_is_rotated(python_check):
    old, new = signature("whsec_old"), signature()
    assert python_check(SECRET, f"{old},v1={new.partition('v1=')[2]}", BODY) is True
    assert python_check("whsec_old", f"{old},v1={new.partition('v1=')[2]}", BODY) is True


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG.keys())
def test_the_python_snippet_refuses_what_calliyo_did_not_sign(python_check, header):
    assert python_check(SECRET, header, BODY) is False


class Enough(Exception):
    """Ends the reader, which never ends by itself."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [None, "latest"])
def test_the_six_line_reader_gets_every_event_in_order_and_keeps_its_place(live_server, watcher, start):
    reader = snippet("python", CATCH_UP)
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
