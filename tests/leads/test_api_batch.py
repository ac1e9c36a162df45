"""`POST /public/leads/batch`: many leads at once, each judged as if it came alone, and one wrong one stops no other."""

import json

import pytest

from apikeys import throttling
from apikeys.throttling import LocalBuckets
from leads.models import Activity, ExternalId, Lead, Tag
from leads.operations.arrivals import create_leads
from tests.clients import public_client
from tests.leads.factories import LeadFactory, UserFactory
from webhooks.models import Event

BATCH = "/public/leads/batch"


@pytest.fixture
def sync(client_with):
    return client_with("leads:read", "leads:write")


def lead(number, **more):
    return {"first_name": f"Asha {number}", "phone": f"98765{number:05d}", **more}


def results(answer):
    assert answer.status_code == 200, answer.content
    assert list(answer.json()) == ["results"]
    found = answer.json()["results"]
    assert [result["index"] for result in found] == list(range(len(found)))
    return found


def statuses(answer):
    return [result["status"] for result in results(answer)]


def test_two_hundred_are_created_as_single_ones_would_be(client_with):
    sync = client_with("leads:read", "leads:write", "tags:write")
    owner = UserFactory()
    common = {"last_name": "Nair", "source": "Import", "tags": ["Hot", "EMI"], "owner_id": owner.pk}
    single = sync.post("/public/leads", lead(0, external_id="Z0", **common)).json()
    answer = sync.post(
        BATCH, {"leads": [lead(number, external_id=f"Z{number}", **common) for number in range(1, 201)]}
    )
    made = results(answer)
    assert {tuple(result) for result in made} == {("index", "status", "id")}
    assert {result["status"] for result in made} == {201}
    one = sync.get(f"/public/leads/{made[6]['id']}").json()
    own = {name: one[name] for name in ("id", "created_at", "updated_at", "version")}
    assert one == single | own | {"first_name": "Asha 7", "phone": "+919876500007", "external_id": "Z7"}
    assert one["status"]["name"] == "Assigned"
    of_one, of_single = (
        [(line.kind, line.data, line.actor_id) for line in Activity.objects.filter(lead=pk)]
        for pk in (one["id"], single["id"])
    )
    assert of_one == of_single
    told = Event.objects.filter(lead_id=one["id"]).order_by("id")
    assert [event.type for event in told] == ["lead.created", "lead.assigned"]
    assert json.loads(told[0].payload)["data"]["lead"] == one | {"external_id": None}
    assert json.loads(told[0].payload)["actor"]["id"] == sync.key.pk
    assert Event.objects.count() == 402 and Tag.objects.count() == 2


def test_one_that_is_wrong_leaves_the_others_whole(sync):
    known = LeadFactory(phone="+919876500099")
    banned = UserFactory(is_active=False)
    before = Event.objects.count()
    answer = sync.post(
        BATCH,
        [
            lead(1),
            {"email": "x", "nonsense": 1},
            lead(2),
            lead(99),
            "no object",
            None,
            lead(3, owner_id=banned.pk),
            lead(4, tags=["unknown"]),
            lead(1),
            lead(5),
        ],
    )
    found = results(answer)
    assert [result["status"] for result in found] == [201, 400, 201, 409, 400, 400, 400, 400, 409, 201]
    errors = {result["index"]: result["error"] for result in found if "error" in result}
    for index, error in errors.items():
        assert list(error)[-7:] == ["type", "title", "status", "code", "detail", "errors", "request_id"]
        assert error["status"] == found[index]["status"] and "id" not in found[index]
    assert {one["field"] for one in errors[1]["errors"]} == {"first_name", "phone", "email", "nonsense"}
    assert (errors[3]["code"], errors[3]["existing_id"]) == ("duplicate_phone", known.pk)
    assert (errors[6]["code"], errors[6]["errors"][0]["field"]) == ("owner_banned", "owner_id")
    assert errors[8]["existing_id"] == found[0]["id"]
    made = [result["id"] for result in found if "id" in result]
    assert set(Lead.objects.exclude(pk=known.pk).values_list("pk", flat=True)) == set(made)
    assert Event.objects.count() == before + 3


def test_a_cap_is_filled_in_the_batchs_order(sync):
    owner = UserFactory(lead_cap=3)
    sync.post("/public/leads", lead(0, owner_id=owner.pk))
    answer = sync.post(BATCH, [lead(number, owner_id=owner.pk) for number in range(1, 6)] + [lead(9)])
    assert statuses(answer) == [201, 201, 409, 409, 409, 201]
    assert results(answer)[2]["error"]["code"] == "lead_cap_reached"
    assert Lead.objects.filter(owner=owner).count() == 3


def test_known_ones_are_updated_or_ignored(sync):
    sync.post("/public/leads", lead(1, external_id="Z1"))
    items = [lead(2), lead(1, last_name="Nair"), lead(8, external_id="Z1"), lead(2, source="again"), lead(3)]
    assert statuses(sync.post(f"{BATCH}?on_duplicate=ignore", items[:4])) == [201, 200, 200, 200]
    assert Lead.objects.filter(last_name="Nair").count() == 0
    found = results(sync.post(f"{BATCH}?on_duplicate=update", items))
    assert [result["status"] for result in found] == [200, 200, 200, 200, 201]
    assert found[0]["id"] == found[3]["id"] and found[1]["id"] == found[2]["id"]
    told = {row.phone: (row.last_name, row.source) for row in Lead.objects.all()}
    assert told == {"+919876500008": ("Nair", ""), "+919876500002": ("", "again"), "+919876500003": ("", "")}
    updated = Event.objects.filter(type="lead.updated")
    assert updated.count() == updated.values("lead_id").distinct().count() == 2


def test_items_are_taken_in_their_order(sync):
    sync.post("/public/leads", lead(1, external_id="Z1"))
    # The first takes the number that the second would have had; the third gets the one that became free.
    items = [lead(2, external_id="Z1"), lead(2), lead(1)]
    assert statuses(sync.post(f"{BATCH}?on_duplicate=update", items)) == [200, 200, 201]
    assert ExternalId.objects.get().lead.phone == "+919876500002"
    assert statuses(sync.post(BATCH, [lead(5, external_id="A"), lead(6, external_id="A"), lead(6)])) == [
        201,
        409,
        201,
    ]


def test_a_rival_who_comes_in_between_is_found_out(sync, monkeypatch):
    def late(**options):
        if not Lead.objects.filter(phone="+919876500003").exists():
            LeadFactory(phone="+919876500003")
        return create_leads(**options)

    monkeypatch.setattr("leads.api.reception.create_leads", late)
    answer = sync.post(BATCH, [lead(number) for number in range(6)])
    # The rival's row goes with the savepoint of the first attempt; each half is judged anew.
    assert set(statuses(answer)) <= {201, 409}
    assert Lead.objects.count() == len(set(Lead.objects.values_list("phone", flat=True)))
    created = [result["id"] for result in results(answer) if result["status"] == 201]
    assert Lead.objects.filter(pk__in=created).count() == len(created)


@pytest.mark.parametrize("body", [[], {"leads": []}])
def test_an_empty_batch_is_no_mistake(sync, body):
    assert results(sync.post(BATCH, body)) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "leads"),
        ({"leads": {}}, "leads"),
        ({"leads": [], "dry_run": True}, "dry_run"),
        ("text", "leads"),
        (None, "leads"),
        ([{"first_name": "A", "phone": "9876543210"}] * 201, "leads"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(sync, body, field):
    answer = sync.post(BATCH, json.dumps(body))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Lead.objects.exists()


def test_forms_and_other_methods_are_refused(sync):
    assert sync.form(BATCH, {"leads": "x"}).status_code == 415
    assert sync.get(BATCH).status_code == 405
    assert sync.get(BATCH)["Allow"] == "POST, OPTIONS"
    assert sync.request("POST", BATCH, "{").status_code == 400
    assert sync.request("POST", BATCH, b"x" * 1_100_000).status_code == 413
    assert sync.post(f"{BATCH}?dry_run=1", []).status_code == 400


def test_the_query_count_does_not_grow_with_the_items(sync, django_assert_max_num_queries):
    with django_assert_max_num_queries(45):
        answer = sync.post(BATCH, [lead(number, source="web") for number in range(200)])
    assert set(statuses(answer)) == {201}


def test_it_costs_one_and_a_tenth_for_each_item(db, monkeypatch):
    monkeypatch.setattr(throttling, "BUCKETS", LocalBuckets(lambda: 1000.0))
    client = public_client("leads:read", "leads:write", rate_limit=600)

    def left(answer):
        return int(answer["RateLimit"].split(";")[1].removeprefix("r="))

    assert left(client.post(BATCH, [lead(number) for number in range(200)])) == 79
    assert left(client.post(BATCH, [lead(0)] * 10)) == 77
    assert left(client.post(BATCH, [])) == 76
    assert left(client.request("POST", BATCH, "{")) == 75
    assert left(client.post(BATCH, [lead(0)] * 201)) == 74
    for _ in range(3):
        assert client.post(BATCH, [lead(0)] * 200).status_code == 200
    refused = client.post(BATCH, [lead(300)] * 200)
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert not Lead.objects.filter(first_name="Asha 300").exists()


def test_the_same_batch_again_is_answered_again(sync):
    first, again = (sync.post(BATCH, [lead(1), lead(2)], Idempotency_Key="k") for _ in range(2))
    assert statuses(first) == [201, 201]
    assert again.content == first.content and again["Idempotent-Replayed"] == "true"
    assert Lead.objects.count() == 2


# ── The silence of keys that may only write ─────────────────────────────────────────────────────────────────


def test_a_form_learns_nothing_of_any_item(client_with):
    form = client_with("leads:write")
    known = LeadFactory(phone="+919876500001", first_name="Known")
    version, events = known.version, Event.objects.count()
    answer = form.post(
        BATCH, [lead(1), lead(2), lead(1), lead(3), lead(2), {"phone": "x"}, lead(4, status="Busy")]
    )
    found = results(answer)
    assert found[:5] == [{"index": index, "status": 202} for index in range(5)]
    assert [found[5]["status"], found[6]["status"]] == [400, 403]
    assert found[6]["error"]["code"] == "insufficient_scope"
    known.refresh_from_db()
    assert (known.first_name, known.version) == ("Known", version)
    assert Activity.objects.filter(lead=known, kind="submitted_again").count() == 2
    assert Activity.objects.filter(lead__phone="+919876500002", kind="submitted_again").count() == 1
    assert Lead.objects.count() == 3 and Event.objects.count() == events + 2
    assert form.post(f"{BATCH}?on_duplicate=update", [lead(1)]).status_code == 403
    assert results(form.post(f"{BATCH}?on_duplicate=ignore", [lead(1)])) == [{"index": 0, "status": 202}]


def test_a_new_tag_does_not_tell_that_an_item_was_known(client_with):
    form = client_with("leads:write", "tags:write", "tags:read")
    LeadFactory(phone="+919876500001")
    form.post(BATCH, [lead(1, tags=["known"]), lead(2, tags=["new"])])
    assert set(Tag.objects.values_list("name", flat=True)) == {"known", "new"}
