"""`Idempotency-Key` and changes at once, with real threads on real PostgreSQL, and processes that are killed."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from apikeys.models import IdempotencyRecord
from leads.models import Activity, FollowUp, Lead, Note, Tag
from tests.clients import PublicClient, public_client
from tests.leads.factories import FollowUpFactory
from tests.processes import environment_of_processes
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 16
LEAD = {"first_name": "Asha", "phone": "98765 43210"}


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What `work(0)` … `work(15)` give when they start together, each on a connection of its own."""
    start = Barrier(THREADS)

    def run(number: int) -> Any:
        try:
            start.wait(20)
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def fresh(client: PublicClient) -> PublicClient:
    """The same key, as another process of the caller's would use it."""
    return PublicClient(client.key, client.token)


def post(client: PublicClient, key: str = "k-1", data: Any = LEAD) -> Any:
    return fresh(client).post("/public/leads", data, Idempotency_Key=key)


def test_sixteen_at_once_with_one_key_make_one_lead() -> None:
    client = public_client("leads:read", "leads:write")
    answers = at_once(lambda _: post(client))
    told = Counter(answer.status_code for answer in answers)
    assert told.keys() <= {201, 409} and told[201] >= 1
    first = {answer.content for answer in answers if answer.status_code == 201}
    assert len(first) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_key_in_use"
            assert answer["Retry-After"] == "1"
    # Who made it had no answer to give again.
    assert sum("Idempotent-Replayed" not in answer for answer in answers if answer.status_code == 201) == 1
    assert Lead.objects.count() == Event.objects.count() == Activity.objects.count() == 1
    again = post(client)
    assert (again.status_code, {again.content}) == (201, first)


def test_sixteen_at_once_with_keys_of_their_own_make_their_own() -> None:
    client = public_client("leads:read", "leads:write")
    answers = at_once(lambda number: post(client, f"k-{number}", LEAD | {"phone": f"98765432{number:02d}"}))
    assert {answer.status_code for answer in answers} == {201}
    assert Lead.objects.count() == IdempotencyRecord.objects.filter(status=201).count() == THREADS


_WORKER = """
import os, sys
import django
django.setup()
from apikeys.models import APIKey
from calliyo.api.views import ApiView
from leads.api.leads import LeadViewSet
from tests.clients import PublicClient

def dies(*_, **__):
    os._exit(9)

{patch}
client = PublicClient(None, sys.argv[1])
client.post("/public/leads", {lead!r}, Idempotency_Key="k-1")
"""


def post_in_a_process_that_is_killed(client: PublicClient, patch: str) -> None:
    script = _WORKER.format(patch=patch, lead=LEAD)
    worker = subprocess.run(
        [sys.executable, "-c", script, client.token],
        env=environment_of_processes(ALLOWED_HOSTS="testserver"),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert worker.returncode == 9, worker.stderr.decode()


def test_one_killed_between_commit_and_answer_has_left_its_answer() -> None:
    client = public_client("leads:read", "leads:write")
    post_in_a_process_that_is_killed(client, "ApiView.finalize_response = dies")
    lead = Lead.objects.get()
    again = post(client)
    assert (again.status_code, again.json()["id"], again["Idempotent-Replayed"]) == (201, lead.pk, "true")
    assert again["Location"] == f"/public/leads/{lead.pk}"
    assert again["ETag"].startswith('"1.')
    assert Lead.objects.count() == Event.objects.count() == 1


def test_one_killed_at_work_has_left_nothing_and_its_lease_ends() -> None:
    client = public_client("leads:read", "leads:write")
    post_in_a_process_that_is_killed(client, "LeadViewSet.picture_of = dies")
    assert not Lead.objects.exists() and not Event.objects.exists()
    assert post(client).status_code == 409
    record = IdempotencyRecord.objects.get()
    IdempotencyRecord.objects.update(leased_until=record.created_at)
    answers = at_once(lambda _: post(client))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert Lead.objects.count() == Event.objects.count() == 1


# ── Changes at once ─────────────────────────────────────────────────────────────────────────────────────────


def test_changes_of_different_fields_at_once_all_stay() -> None:
    client = public_client("leads:read", "leads:write", "tags:write", "follow-ups:read", "follow-ups:write")
    lead = fresh(client).post("/public/leads", LEAD).json()
    follow_up = FollowUpFactory(lead_id=lead["id"])
    changes: list[tuple[str, dict[str, Any]]] = [
        ("leads", {"first_name": "Usha"}),
        ("leads", {"last_name": "Rao"}),
        ("leads", {"email": "usha@example.org"}),
        ("leads", {"source": "Referral"}),
        ("leads", {"phone": "9876500000"}),
        ("leads", {"external_id": "Z-1"}),
        ("leads", {"status": "Interested"}),
        *(("leads", {"add_tags": [f"tag {number}"]}) for number in range(6)),
        ("follow-ups", {"note": "Before lunch"}),
        ("follow-ups", {"status": "resolved"}),
        ("follow-ups", {"due_at": "2031-01-01T00:00:00Z"}),
    ]
    ids = {"leads": lead["id"], "follow-ups": follow_up.pk}

    def change(number: int) -> Any:
        resource, values = changes[number]
        return fresh(client).patch(f"/public/{resource}/{ids[resource]}", values)

    answers = at_once(change)
    assert {answer.status_code for answer in answers} == {200}, [answer.content for answer in answers]
    now = fresh(client).get(f"/public/leads/{lead['id']}").json()
    assert (now["first_name"], now["last_name"], now["email"]) == ("Usha", "Rao", "usha@example.org")
    assert (now["source"], now["phone"], now["external_id"]) == ("Referral", "+919876500000", "Z-1")
    assert (now["status"]["name"], now["tags"]) == ("Interested", [f"tag {number}" for number in range(6)])
    kept = FollowUp.objects.get()
    assert (kept.note, kept.due_at.year, kept.resolved_at is not None) == ("Before lunch", 2031, True)


def test_of_sixteen_with_the_same_if_match_one_writes() -> None:
    client = public_client("notes:read", "notes:write", "leads:read", "leads:write")
    lead = fresh(client).post("/public/leads", LEAD).json()
    note = fresh(client).post("/public/notes", {"lead_id": lead["id"], "text": "First"})
    path = f"/public/notes/{note.json()['id']}"
    answers = at_once(lambda number: fresh(client).patch(path, {"text": f"{number}"}, If_Match=note["ETag"]))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: THREADS - 1}
    assert Note.objects.get().version == 2


def test_one_tag_is_made_once_by_all_who_name_it() -> None:
    client = public_client("tags:read", "tags:write")
    answers = at_once(lambda _: fresh(client).post("/public/tags", {"name": "Hot"}))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: THREADS - 1}
    assert {answer.json().get("existing_id", Tag.objects.get().pk) for answer in answers} == {
        Tag.objects.get().pk
    }


def test_sixteen_upserts_of_one_new_number_make_one_lead() -> None:
    client = public_client("leads:read", "leads:write")
    path = "/public/leads?on_duplicate=update"
    answers = at_once(
        lambda number: fresh(client).post(path, LEAD | {"last_name": f"{number}", "external_id": "Z-1"})
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: THREADS - 1}
    assert {answer.json()["id"] for answer in answers} == {Lead.objects.get().pk}
    assert Event.objects.filter(type="lead.created").count() == 1
    assert Event.objects.filter(type="lead.updated").count() == THREADS - 1


def test_batches_of_the_same_leads_in_opposite_orders_all_end_well() -> None:
    client = public_client("leads:read", "leads:write")
    leads = [{"first_name": "Asha", "phone": f"98765000{number:02d}"} for number in range(20)]
    fresh(client).post("/public/leads/batch", leads)

    def send(number: int) -> Any:
        items = [lead | {"source": f"{number}"} for lead in (leads if number % 2 else leads[::-1])]
        return fresh(client).post("/public/leads/batch?on_duplicate=update", items)

    answers = at_once(send)
    assert Counter(answer.status_code for answer in answers) == {200: THREADS}
    told = [result["status"] for answer in answers for result in answer.json()["results"]]
    assert told == [200] * len(leads) * THREADS
    assert Lead.objects.count() == len(leads)
    assert Event.objects.filter(type="lead.created").count() == len(leads)


@pytest.mark.parametrize("mode", ["", "?on_duplicate=ignore", "?on_duplicate=update", "silent"])
def test_batches_that_make_the_same_leads_in_opposite_orders_never_deadlock(mode, monkeypatch) -> None:
    scopes = (
        ("leads:write", "tags:write") if mode == "silent" else ("leads:read", "leads:write", "tags:write")
    )
    clients = [public_client(*scopes) for _ in range(THREADS)]
    path = f"/public/leads/batch{mode if mode != 'silent' else ''}"
    deadlocks = []
    monkeypatch.setattr("calliyo.unit_of_work._may_be_repeated", lambda error: bool(deadlocks.append(error)))
    for batch in range(2):
        leads = [
            {"first_name": "Asha", "phone": f"98765{batch}00{number:02d}", "tags": [f"{batch} {number}"],
             "external_id": f"{batch} {number}"}
            for number in range(10)
        ]  # fmt: skip

        def send(number: int, leads: list[Any] = leads) -> Any:
            client = fresh(clients[0 if number < THREADS // 2 else number])  # some share their external ids
            return client.post(path, leads if number % 2 else leads[::-1])

        answers = at_once(send)
        assert [error.__cause__ for error in deadlocks] == []
        assert Counter(answer.status_code for answer in answers) == {200: THREADS}
    assert Lead.objects.count() == 2 * 10
    assert Event.objects.filter(type="lead.created").count() == 2 * 10


def test_upserts_that_make_the_same_leads_between_changes_of_others_never_deadlock(monkeypatch) -> None:
    client = public_client("leads:read", "leads:write")
    known = [{"first_name": "Known", "phone": f"98764000{number:02d}"} for number in range(THREADS)]
    fresh(client).post("/public/leads/batch", known)
    deadlocks: list[Any] = []
    monkeypatch.setattr("calliyo.unit_of_work._may_be_repeated", lambda error: bool(deadlocks.append(error)))
    new = [{"first_name": "New", "phone": f"98765000{number:02d}"} for number in range(8)]

    def send(number: int) -> Any:
        items = [item for lead in (new if number % 2 else new[::-1]) for item in (lead, known[number])]
        return fresh(client).post("/public/leads/batch?on_duplicate=update", items)

    answers = at_once(send)
    assert [error.__cause__ for error in deadlocks] == []
    assert Counter(answer.status_code for answer in answers) == {200: THREADS}
    assert Lead.objects.count() == len(known) + len(new)
