"""The silence of a key that may only write, over HTTP on PostgreSQL: what a caller can see tells no number apart."""

import random
import time

import pytest
import requests

from leads.api.pace import SECONDS_AN_ITEM, SPAN_SECONDS
from tests.clients import public_client
from tests.leads.factories import TagFactory
from webhooks.operations import subscribe

pytestmark = pytest.mark.django_db(transaction=True)
NOISE = 0.15


@pytest.fixture
def post(web_server):
    """Posts with a form's key beside three webhooks; gives the answer and the seconds that it took."""
    for number in range(3):
        key = public_client("leads:read").key
        subscribe(api_key=key, url=f"http://127.0.0.1:9/{number}", events=["lead.created", "lead.updated"])
    for name in ("hot", "webinar"):
        TagFactory(name=name)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {public_client('leads:write').token}"

    def send(path, **body):
        begun = time.perf_counter()
        answer = session.post(f"{web_server.address}{path}", timeout=30, **body)
        return answer, time.perf_counter() - begun

    yield send
    session.close()


def lead(number):
    return {
        "first_name": "Asha",
        "phone": f"+9198765{number:05d}",
        "tags": ["hot", "webinar"],
        "external_id": f"form-{number}",
    }


def chance_to_tell(one, other):
    """How often a caller is right who calls the slower of two requests the new number; 0.5: he learns nothing."""
    pairs = [(a, b) for a in one for b in other]
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)


def times(post, path, *, known, new, copies=0):
    """Seconds for known numbers and for new ones, in random order; each `copies` times in one request."""
    found = {"new": [], "known": []}
    asked = [("known", number) for number in known] + [("new", number) for number in new]
    random.shuffle(asked)
    for kind, number in asked:
        answer, seconds = post(path, json=[lead(number)] * copies if copies else lead(number))
        assert answer.status_code == (200 if copies else 202)
        found[kind].append(seconds)
    return found


@pytest.mark.parametrize(
    ("path", "copies", "count", "span"),
    [
        ("/public/leads", 0, 60, SPAN_SECONDS),
        ("/public/leads/batch", 50, 24, SPAN_SECONDS + 49 * SECONDS_AN_ITEM),
    ],
)
def test_the_time_tells_nothing(post, path, copies, count, span):
    """A busy machine only adds noise, and the same to both; so the quietest of three rounds counts."""
    known = range(1, count + 1)
    for number in known:
        post("/public/leads", json=lead(number))
    chances = []
    for turn in range(1, 4):
        found = times(post, path, known=known, new=range(turn * 1000, turn * 1000 + count), copies=copies)
        assert min(found["new"] + found["known"]) >= span
        chances.append(chance_to_tell(found["new"], found["known"]))
        if abs(chances[-1] - 0.5) < NOISE:
            return
    pytest.fail(f"A new number is told from a known one in {chances} of all cases.")
