"""A key that may only write leads learns nothing of them: a new number and a known one are answered alike.

Status, headers and body are compared whole here, and what decides the time; the time itself in `tests/services`.
"""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leads.api import pace
from leads.api.pace import SECONDS_AN_ITEM, SPAN_SECONDS, seconds_left
from leads.models import Activity, Lead, Tag
from tests.clients import public_client
from webhooks.models import Event

NEW, KNOWN, BY_EXTERNAL_ID = "new", "known", "known by its external_id"
WHOLE = {
    "first_name": "Asha",
    "last_name": "Verma",
    "email": "asha@example.com",
    "source": "website",
    "tags": ["hot"],
}
SENT = {
    NEW: WHOLE | {"phone": "+919876500001", "external_id": "a-1"},
    KNOWN: WHOLE | {"phone": "+919876500002", "external_id": "a-2"},
    BY_EXTERNAL_ID: WHOLE | {"phone": "+919876500003", "external_id": "k-3"},
}
WAYS = {
    "JSON": lambda client, body: client.post("/public/leads", body),
    "with a slash": lambda client, body: client.post("/public/leads/", body),
    "ignoring duplicates": lambda client, body: client.post("/public/leads?on_duplicate=ignore", body),
    "a form": lambda client, body: client.request(
        "POST", "/public/leads", encoded(body), "application/x-www-form-urlencoded"
    ),
    "multipart": lambda client, body: client.form("/public/leads", body | {"utm_source": "google"}),
    "once": lambda client, body: client.post("/public/leads", body, Idempotency_Key=body["phone"]),
    "a batch": lambda client, body: client.post("/public/leads/batch", [body]),
    "a batch of one lead 20 times": lambda client, body: client.post("/public/leads/batch", [body] * 20),
    "a batch among others": lambda client, body: client.post(
        "/public/leads/batch?on_duplicate=ignore",
        {"leads": [WHOLE | {"phone": f"+91987651{n:04d}"} for n in range(3)] + [body, {"phone": "x"}]},
    ),
    "to be updated": lambda client, body: client.post("/public/leads?on_duplicate=update", body),
    "with a status": lambda client, body: client.post("/public/leads", body | {"status": "Busy"}),
    "with an unknown tag": lambda client, body: client.post("/public/leads", body | {"tags": ["no such"]}),
    "with an unknown field": lambda client, body: client.post("/public/leads", body | {"name": "x"}),
    "with an unknown campaign": lambda client, body: client.post("/public/leads", body | {"campaign_id": 0}),
    "without a name": lambda client, body: client.post("/public/leads", body | {"first_name": " "}),
    "with an empty external_id": lambda client, body: client.post(
        "/public/leads", body | {"external_id": ""}
    ),
}


def encoded(body):
    return "&".join(
        f"{name}={value}"
        for name, values in body.items()
        for value in (values if name == "tags" else [values])
    ).replace("+", "%2B")


def told(answer):
    """All that a caller sees, but the request's own id."""
    headers = {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}
    body = json.loads(answer.content.decode().replace(answer["X-Request-Id"], "this request's"))
    return answer.status_code, headers, answer.reason_phrase, body, list(answer.cookies)


@pytest.fixture
def form(db):
    """The key of a form, in a company that knows two of the leads that `SENT` sends."""
    client = public_client("leads:write")
    Tag.objects.create(name="hot")
    for phone, external_id in (("+919876500002", None), ("+919876500009", "k-3")):
        client.post("/public/leads", {"first_name": "Known", "phone": phone, "external_id": external_id})
    assert Lead.objects.count() == 2
    return client


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_answer_is_the_same_to_the_last_byte(form, way):
    events = Event.objects.count()
    answers = {kind: told(way(form, body)) for kind, body in SENT.items()}
    assert answers[NEW] == answers[KNOWN] == answers[BY_EXTERNAL_ID]
    assert set(Lead.objects.filter(first_name="Known").values_list("version", flat=True)) <= {1, 2}
    taken_in = answers[NEW][0] in {200, 202}
    new = Lead.objects.filter(phone=SENT[NEW]["phone"])
    assert new.exists() == taken_in
    assert not Lead.objects.filter(phone=SENT[BY_EXTERNAL_ID]["phone"]).exists()
    assert (Event.objects.count() > events) == taken_in
    lines = Activity.objects.filter(kind="submitted_again", lead__first_name="Known")
    assert lines.exists() == taken_in


def test_the_second_time_is_as_the_first(form):
    first, second = (told(form.post("/public/leads", SENT[NEW])) for _ in range(2))
    assert first == second


def statements(client, items):
    with CaptureQueriesContext(connection) as captured:
        assert client.post("/public/leads/batch", items).status_code == 200
    return len(captured)


def test_one_number_many_times_over_costs_a_few_statements_whether_new_or_known(form):
    """Else the time of one request would tell, a hundred times over, what it found."""
    new = statements(form, [SENT[NEW]] * 100)
    known = statements(form, [SENT[KNOWN]] * 100)
    assert new < 60 and known < 60
    assert Activity.objects.filter(kind="submitted_again", lead__phone=SENT[NEW]["phone"]).count() == 99
    assert Activity.objects.filter(kind="submitted_again", lead__phone=SENT[KNOWN]["phone"]).count() == 100


# ── The time ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("elapsed", "span", "left"), [(0.0, 0.1, 0.1), (0.03, 0.1, 0.07), (0.25, 0.1, 0.05), (0.1, 0.5, 0.4)]
)
def test_an_answer_waits_for_the_end_of_the_span_in_which_it_lies(elapsed, span, left):
    assert seconds_left(elapsed, span) == pytest.approx(left)


@pytest.fixture
def waits(monkeypatch):
    """How long answers were held, where each takes ten milliseconds."""
    clock, held = [0.0], []

    def now():
        clock[0] += 0.01
        return clock[0]

    monkeypatch.setattr(pace, "monotonic", now)
    monkeypatch.setattr(pace, "sleep", held.append)
    return held


@pytest.mark.parametrize("kind", SENT)
def test_it_waits_as_long_for_each(form, waits, kind):
    form.post("/public/leads", SENT[kind])
    form.post("/public/leads/batch", [SENT[kind]] * 11)
    assert waits == pytest.approx([SPAN_SECONDS - 0.01, SPAN_SECONDS + 10 * SECONDS_AN_ITEM - 0.01])


def test_only_what_was_looked_up_in_silence_waits(form, waits):
    form.post("/public/leads", SENT[NEW] | {"status": "Busy"})
    form.post("/public/leads", {"phone": "x"})
    form.post("/public/leads?on_duplicate=update", SENT[NEW])
    form.patch("/public/leads/1", {})
    form.get("/public/me")
    open_key = public_client("leads:read", "leads:write")
    open_key.post("/public/leads", SENT[NEW])
    open_key.post("/public/leads/batch", [SENT[KNOWN]])
    assert waits == []


@pytest.mark.django_db(transaction=True)
def test_nothing_of_the_database_is_held_while_it_waits(monkeypatch):
    held = []
    monkeypatch.setattr(pace, "sleep", lambda _seconds: held.append(connection.in_atomic_block))
    public_client("leads:write").post("/public/leads", SENT[NEW] | {"tags": []})
    assert held == [False] and Lead.objects.count() == 1
