"""Leads from outside: made, changed, refused; and after each refusal nothing is half written."""

import json

import pytest

from calliyo.api.parsers import MAX_BODY_BYTES
from leads.models import Activity, ExternalId, Lead, Tag
from leads.operations.intake import create_lead
from tests.leads.factories import CampaignFactory, LeadFactory, UserFactory, status_named
from webhooks.models import Event

LEAD = {"first_name": "Asha", "phone": "98765 43210"}


@pytest.fixture
def sync(client_with):
    """A key that reads and writes leads, as a CRM's sync has."""
    return client_with("leads:read", "leads:write")


@pytest.fixture
def form(client_with):
    """A key that only writes leads, as a marketing form has."""
    return client_with("leads:write")


def nothing_written():
    rows = (Lead, Tag, Activity, ExternalId, Event)
    return [model.__name__ for model in rows if model.objects.exists()] == []


def assert_refused(answer, status, code, field=None):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code, body
    if field:
        assert field in [error["field"] for error in body["errors"]], body
    return body


# ── Made ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_field_may_be_named(sync):
    owner, campaign = UserFactory(), CampaignFactory()
    answer = sync.post(
        "/public/leads",
        LEAD
        | {
            "last_name": "Nair",
            "email": "asha@example.com",
            "status": "interested",
            "owner_id": owner.pk,
            "campaign_id": campaign.pk,
            "source": "Website",
            "external_id": "Z-1",
        },
    )
    assert answer.status_code == 201
    lead = answer.json()
    assert lead["status"] == {"id": status_named("Interested").pk, "name": "Interested"}
    assert (lead["owner_id"], lead["campaign_id"]) == (owner.pk, campaign.pk)
    assert (lead["last_name"], lead["email"], lead["source"]) == ("Nair", "asha@example.com", "Website")
    assert lead["external_id"] == "Z-1"
    created = Event.objects.get(type="lead.created")
    assert json.loads(created.payload)["actor"] == {
        "type": "api_key",
        "id": sync.key.pk,
        "name": sync.key.name,
        "request_id": answer["X-Request-Id"],
    }


def test_an_owner_without_a_status_makes_it_assigned(sync):
    answer = sync.post("/public/leads", LEAD | {"owner_id": UserFactory().pk})
    assert answer.json()["status"]["name"] == "Assigned"


def test_a_status_may_be_an_id_and_null_texts_are_empty(sync):
    status = status_named("Busy")
    answer = sync.post(
        "/public/leads", LEAD | {"status": status.pk, "last_name": None, "email": None, "source": None}
    )
    assert answer.json()["status"] == {"id": status.pk, "name": "Busy"}
    assert (answer.json()["last_name"], answer.json()["email"]) == ("", "")


def test_a_number_may_be_sent_as_a_number(sync):
    assert sync.post("/public/leads", LEAD | {"phone": 9876543210}).json()["phone"] == "+919876543210"


def test_a_forms_unknown_fields_are_ignored_and_named(sync):
    answer = sync.form("/public/leads", LEAD | {"utm_source": "ads", "submit": "Send", "email": ""})
    assert answer.status_code == 201
    assert answer.json()["ignored_fields"] == ["utm_source", "submit"]
    encoded = sync.request(
        "POST",
        "/public/leads",
        "first_name=Ravi&phone=%2B919876543211&tags=&owner_id=&utm_source=x",
        "application/x-www-form-urlencoded",
    )
    assert encoded.status_code == 201
    assert encoded.json()["ignored_fields"] == ["utm_source"]
    assert encoded.json()["owner_id"] is None


def test_a_form_may_repeat_tags_and_nothing_else(client_with):
    client = client_with("leads:read", "leads:write", "tags:write")
    answer = client.form("/public/leads", LEAD | {"tags": ["hot", "Diwali"]})
    assert answer.json()["tags"] == ["Diwali", "hot"]
    twice = client.form("/public/leads", {"first_name": ["A", "B"], "phone": "9876543211"})
    assert_refused(twice, 400, "validation_failed", "first_name")


# ── Bad input ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"first_name": ""}, "first_name"),
        ({"first_name": None}, "first_name"),
        ({"first_name": "x" * 101}, "first_name"),
        ({"first_name": ["Asha"]}, "first_name"),
        ({"first_name": {"a": 1}}, "first_name"),
        ({"first_name": True}, "first_name"),
        ({"first_name": 1.5}, "first_name"),
        ({"phone": ""}, "phone"),
        ({"phone": None}, "phone"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "123"}, "phone"),
        ({"phone": 9.87e9}, "phone"),
        ({"phone": "9" * 65}, "phone"),
        ({"email": "no-at-sign"}, "email"),
        ({"email": 5}, "email"),
        ({"status": "Nonsense"}, "status"),
        ({"status": 99999}, "status"),
        ({"status": 2**63 - 1}, "status"),
        ({"status": True}, "status"),
        ({"status": None}, "status"),
        ({"status": {"id": 1}}, "status"),
        ({"owner_id": 99999}, "owner_id"),
        ({"owner_id": "x"}, "owner_id"),
        ({"owner_id": 1.0}, "owner_id"),
        ({"owner_id": -1}, "owner_id"),
        ({"owner_id": True}, "owner_id"),
        ({"campaign_id": 99999}, "campaign_id"),
        ({"tags": "hot"}, "tags"),
        ({"tags": [1.5]}, "tags.0"),
        ({"tags": ["x" * 101]}, "tags.0"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"tags": ["unknown"]}, "tags"),
        ({"external_id": "x" * 256}, "external_id"),
        ({"nonsense": 1}, "nonsense"),
        ({"id": 1}, "id"),
        ({"version": 1}, "version"),
        ({"add_tags": ["x"]}, "add_tags"),
        ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(sync, change, field):
    answer = sync.post("/public/leads", LEAD | change)
    assert answer.status_code == 400, answer.content
    assert field in [error["field"] for error in answer.json()["errors"]], answer.content
    assert nothing_written()


def test_all_wrong_fields_are_named_at_once(sync):
    body = assert_refused(sync.post("/public/leads", {"email": "x", "nonsense": 1}), 400, "validation_failed")
    assert {error["field"] for error in body["errors"]} == {"first_name", "phone", "email", "nonsense"}
    wrong = {
        "first_name": " ",
        "phone": "call me",
        "email": "x",
        "status": "Nonsense",
        "owner_id": 99999,
        "campaign_id": "x",
        "tags": ["unknown"],
        "external_id": "",
        "nonsense": 1,
    }
    lead = LeadFactory()
    for answer in (sync.post("/public/leads", wrong), sync.patch(f"/public/leads/{lead.pk}", wrong)):
        body = assert_refused(answer, 400, "validation_failed")
        assert {error["field"]: error["code"] for error in body["errors"]} == {
            "first_name": "blank",
            "phone": "invalid_phone",
            "email": "invalid",
            "status": "unknown_status",
            "owner_id": "does_not_exist",
            "campaign_id": "invalid",
            "tags": "unknown_tag",
            "external_id": "blank",
            "nonsense": "unknown_field",
        }
    assert Lead.objects.get().version == lead.version


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_body"),
        (b"", "application/json", 400, "validation_failed"),
        (b"[]", "application/json", 400, "validation_failed"),
        (b'"text"', "application/json", 400, "validation_failed"),
        (b"null", "application/json", 400, "validation_failed"),
        (b'{"first_name": "\xff", "phone": "9876543210"}', "application/json", 400, "malformed_body"),
        (b'{"first_name": "\\u0000", "phone": "9876543210"}', "application/json", 400, "malformed_body"),
        (b'{"first_name": "\\ud800", "phone": "9876543210"}', "application/json", 400, "malformed_body"),
        (b'{"first_name": NaN}', "application/json", 400, "malformed_body"),
        (b'{"phone": 1' + b"0" * 400 + b"}", "application/json", 400, "malformed_body"),
        (b'{"status": "' + b"a" * 100_000 + b'"}', "application/json", 400, "validation_failed"),
        (b'{"tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json", 400, "malformed_body"),
        (b'{"phone": "1", "phone": "2"}', "application/json", 400, "malformed_body"),
        (b"first_name=%ff", "application/x-www-form-urlencoded", 400, "malformed_body"),
        (b"first_name=%00", "application/x-www-form-urlencoded", 400, "malformed_body"),
        (b"nonsense", "multipart/form-data; boundary=x", 400, "malformed_body"),
        (b"nonsense", "multipart/form-data", 400, "malformed_body"),
        (b"--x\r\nContent-Disposition: form-data; name=\"first_name\"\r\n\r\n\xff\r\n--x--\r\n",
         "multipart/form-data; boundary=x", 400, "malformed_body"),
        (b"first_name: Asha", "text/yaml", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type"),
        (b"x" * (MAX_BODY_BYTES + 1), "application/json", 413, "too_large"),
    ],
)  # fmt: skip
def test_an_unreadable_body_is_refused_and_nothing_is_written(sync, body, content_type, status, code):
    assert_refused(sync.request("POST", "/public/leads", body, content_type), status, code)
    assert nothing_written()
    lead = LeadFactory()
    events = Event.objects.count()
    answer = sync.request("PATCH", f"/public/leads/{lead.pk}", body, content_type)
    # A change that names nothing is no mistake.
    assert answer.status_code == (200 if body == b"" else status)
    assert (Lead.objects.get().version, Event.objects.count()) == (lead.version, events)


def test_a_length_that_is_announced_is_believed(sync):
    answer = sync.request("POST", "/public/leads", b"{}", CONTENT_LENGTH="1000000000")
    assert_refused(answer, 413, "too_large")
    answer = sync.request("POST", "/public/leads", b"{}", CONTENT_LENGTH="9" * 400)
    assert_refused(answer, 413, "too_large")
    assert_refused(sync.request("POST", "/public/leads", b"{}", CONTENT_LENGTH="x"), 400, "bad_request")
    assert nothing_written()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "DISPATCH", "REQUEST", "X"])
def test_a_wrong_method_names_the_right_ones(sync, method):
    answer = sync.request(method, "/public/leads")
    assert_refused(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_options_tells_the_methods(sync):
    answer = sync.request("OPTIONS", "/public/leads")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_what_cannot_be_accepted_is_a_406(sync):
    assert_refused(sync.get("/public/leads", Accept="image/png"), 406, "not_acceptable")


def test_who_accepts_nothing_by_name_gets_json(sync):
    answer = sync.get("/public/leads", Accept="")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


def test_unknown_parameters_of_a_write_are_refused(sync):
    assert_refused(sync.post("/public/leads?dry_run=1", LEAD), 400, "validation_failed", "dry_run")
    assert nothing_written()


# ── Duplicates ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_known_number_is_refused_and_names_its_lead(sync):
    first = sync.post("/public/leads", LEAD).json()
    body = assert_refused(
        sync.post("/public/leads", LEAD | {"phone": "+91 98765-43210", "tags": []}),
        409,
        "duplicate_phone",
        "phone",
    )
    assert body["existing_id"] == first["id"]
    assert Lead.objects.count() == Event.objects.count() == 1


def test_a_known_external_id_is_refused_and_names_its_lead(sync, client_with):
    first = sync.post("/public/leads", LEAD | {"external_id": "Z1"}).json()
    again = LEAD | {"phone": "9876543211", "external_id": "Z1"}
    body = assert_refused(sync.post("/public/leads", again), 409, "duplicate_external_id", "external_id")
    assert body["existing_id"] == first["id"]
    assert Lead.objects.count() == 1
    other = client_with("leads:read", "leads:write")
    assert other.post("/public/leads", again).status_code == 201


# ── The silence of keys that may only write ─────────────────────────────────────────────────────────────────


def test_a_form_learns_nothing_whether_the_number_is_new_or_known(form):
    new = form.post("/public/leads", LEAD)
    known = form.post("/public/leads", LEAD | {"first_name": "Somebody else"})
    for answer in (new, known):
        assert answer.status_code == 202
        assert answer.json() == {"accepted": True, "request_id": answer["X-Request-Id"]}
    assert set(new.headers) == set(known.headers)
    lead = Lead.objects.get()
    assert (lead.first_name, lead.version, Event.objects.count()) == ("Asha", 1, 1)
    assert lead.created_by_key_id == form.key.pk
    line = Activity.objects.get(kind="submitted_again")
    assert line.lead == lead
    assert line.data["submitted"]["first_name"] == "Somebody else"
    assert (line.actor_type, line.actor_id) == ("api_key", form.key.pk)


def test_a_known_external_id_is_as_silent(form):
    form.post("/public/leads", LEAD | {"external_id": "Z1"})
    answer = form.post("/public/leads", LEAD | {"phone": "9876543211", "external_id": "Z1"})
    assert (answer.status_code, list(answer.json())) == (202, ["accepted", "request_id"])
    assert Lead.objects.count() == 1


def test_a_new_tag_does_not_tell_that_the_number_was_known(client_with):
    form = client_with("leads:write", "tags:write", "tags:read")
    for name, phone in (("new", "9876543210"), ("known", "98765 43210")):
        assert form.post("/public/leads", LEAD | {"phone": phone, "tags": [name]}).status_code == 202
        assert len(form.get("/public/tags", {"name": name}).json()["results"]) == 1
    assert Lead.objects.get().tags.get().name == "new"


@pytest.mark.parametrize("field", ["owner_id", "status"])
@pytest.mark.parametrize("value", [None, 1, "Unassigned", [], 10**9])
@pytest.mark.parametrize("known", [False, True])
def test_a_form_may_name_neither_owner_nor_status(form, field, value, known):
    if known:
        create_lead(**LEAD)
    before = Activity.objects.count()
    body = assert_refused(form.post("/public/leads", LEAD | {field: value}), 403, "insufficient_scope", field)
    assert str(Lead.objects.filter(first_name="Asha").count()) not in body["detail"]
    assert Activity.objects.count() == before


def test_what_a_form_sends_wrong_is_told_before_the_number_is_looked_up(form):
    create_lead(**LEAD)
    before = Activity.objects.count()
    for wrong in ({"email": "x"}, {"tags": ["unknown"]}, {"campaign_id": 99}, {"nonsense": 1}):
        known = form.post("/public/leads", LEAD | wrong)
        new = form.post("/public/leads", LEAD | {"phone": "9876543219"} | wrong)
        assert known.status_code == new.status_code == 400
        left = {"request_id"}
        assert {k: v for k, v in known.json().items() if k not in left} == {
            k: v for k, v in new.json().items() if k not in left
        }
    assert (Lead.objects.count(), Activity.objects.count()) == (1, before)


def test_a_form_changes_and_reads_nothing(form):
    lead = LeadFactory()
    for pk in (lead.pk, 99999):
        answer = form.patch(f"/public/leads/{pk}", {"first_name": "X"})
        assert_refused(answer, 403, "insufficient_scope")
        assert 'scope="leads:read"' in answer["WWW-Authenticate"]
        assert form.get(f"/public/leads/{pk}").status_code == 403
    assert form.get("/public/leads", {"phone": lead.phone}).status_code == 403
    assert Lead.objects.get().version == lead.version


# ── Changed ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_change_writes_what_it_names_and_no_more(sync):
    lead = sync.post("/public/leads", LEAD | {"source": "web"}).json()
    answer = sync.patch(f"/public/leads/{lead['id']}", {"last_name": "Nair"})
    changed = answer.json()
    assert answer.status_code == 200
    moved = {"version": changed["version"], "updated_at": changed["updated_at"]}
    assert changed == lead | {"last_name": "Nair"} | moved
    assert changed["version"] > lead["version"]
    assert answer["ETag"].startswith(f'"{changed["version"]}.')
    assert Event.objects.filter(type="lead.updated").count() == 1


def test_an_empty_change_changes_nothing(sync):
    lead = sync.post("/public/leads", LEAD).json()
    assert sync.patch(f"/public/leads/{lead['id']}", {}).json() == lead
    assert not Event.objects.filter(type="lead.updated").exists()


def test_status_owner_and_tags_are_one_change(client_with):
    client = client_with("leads:read", "leads:write", "tags:write")
    lead = client.post("/public/leads", LEAD | {"tags": ["hot", "old"]}).json()
    owner = UserFactory()
    changed = client.patch(
        f"/public/leads/{lead['id']}",
        {"owner_id": owner.pk, "status": "Interested", "add_tags": ["new"], "remove_tags": ["OLD"]},
    ).json()
    assert (changed["owner_id"], changed["status"]["name"]) == (owner.pk, "Interested")
    assert changed["tags"] == ["hot", "new"]
    assert Event.objects.filter(type="lead.updated").count() == 1
    changed = client.patch(f"/public/leads/{lead['id']}", {"tags": [], "owner_id": None}).json()
    assert (changed["tags"], changed["owner_id"]) == ([], None)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"first_name": None}, 400, "first_name"),
        ({"phone": None}, 400, "phone"),
        ({"status": "Nonsense"}, 400, "status"),
        ({"nonsense": 1}, 400, "nonsense"),
        ({"tags": ["a"], "add_tags": ["b"]}, 400, "tags"),
        ({"tags": ["unknown"]}, 400, "tags"),
        ({"last_name": "Nair", "owner_id": 99999}, 400, "owner_id"),
    ],
)
def test_a_refused_change_changes_nothing(sync, change, status, field):
    lead = sync.post("/public/leads", LEAD).json()
    answer = sync.patch(f"/public/leads/{lead['id']}", {"source": "x"} | change)
    assert answer.status_code == status
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert sync.get(f"/public/leads/{lead['id']}").json() == lead
    assert Event.objects.count() == 1


def test_another_leads_number_is_not_taken(sync):
    first = sync.post("/public/leads", LEAD).json()
    other = sync.post("/public/leads", LEAD | {"phone": "9876543211"}).json()
    body = assert_refused(
        sync.patch(f"/public/leads/{other['id']}", {"last_name": "X", "phone": "9876543210"}),
        409,
        "duplicate_phone",
        "phone",
    )
    assert body["existing_id"] == first["id"]
    assert sync.get(f"/public/leads/{other['id']}").json() == other


def test_a_banned_owner_is_refused_under_the_apis_name(sync):
    banned = UserFactory(is_active=False)
    assert_refused(
        sync.post("/public/leads", LEAD | {"owner_id": banned.pk}), 400, "owner_banned", "owner_id"
    )
    assert nothing_written()


def test_the_lead_cap_holds_for_each_way_to_one_lead_more(sync):
    owner = UserFactory(lead_cap=1)
    customer = LeadFactory(owner=owner, status=status_named("Customer"))
    LeadFactory(owner=owner, status=status_named("Busy"))
    free = LeadFactory()
    for path, change in (
        (f"/public/leads/{free.pk}", {"owner_id": owner.pk}),
        (f"/public/leads/{customer.pk}", {"status": "Busy"}),
    ):
        before = sync.get(path).json()
        assert_refused(sync.patch(path, change), 409, "lead_cap_reached", "owner_id")
        assert sync.get(path).json() == before
    assert_refused(
        sync.post("/public/leads", LEAD | {"owner_id": owner.pk}), 409, "lead_cap_reached", "owner_id"
    )


def test_a_lead_that_is_not_there_is_a_404(sync):
    assert_refused(sync.patch("/public/leads/99999", {"last_name": "X"}), 404, "not_found")
    assert_refused(sync.patch("/public/leads/99999", {}, If_Match='"1.x"'), 404, "not_found")


def test_if_match_compares_the_version(sync):
    created = sync.post("/public/leads", LEAD)
    lead, etag = created.json(), created["ETag"]
    path = f"/public/leads/{lead['id']}"
    assert sync.patch(path, {"last_name": "A"}, If_Match=etag).status_code == 200
    assert_refused(sync.patch(path, {"last_name": "B"}, If_Match=etag), 412, "precondition_failed")
    assert_refused(sync.patch(path, {"last_name": "B"}, If_Match="nonsense"), 412, "precondition_failed")
    version = Lead.objects.get().version
    assert sync.patch(path, {"last_name": "C"}, If_Match=f'"0.x", "{version}.other"').status_code == 200
    assert sync.patch(path, {"last_name": "D"}, If_Match="*").status_code == 200
    assert Lead.objects.get().last_name == "D"


def test_external_ids_belong_to_their_key(sync, client_with):
    lead = sync.post("/public/leads", LEAD | {"external_id": "Z1"}).json()
    path = f"/public/leads/{lead['id']}"
    other = client_with("leads:read", "leads:write")
    assert other.patch(path, {"external_id": "H9"}).json()["external_id"] == "H9"
    assert sync.get(path).json()["external_id"] == "Z1"
    assert sync.patch(path, {"external_id": None}).json()["external_id"] is None
    assert other.get(path).json()["external_id"] == "H9"
    assert not Event.objects.filter(type="lead.updated").exists()


def test_a_crash_in_the_middle_leaves_nothing(sync, monkeypatch):
    def fails(self, pk):
        raise RuntimeError("after the lead was written")

    monkeypatch.setattr("leads.api.leads.LeadViewSet.picture_of", fails)
    sync.raise_errors(False)
    assert sync.post("/public/leads", LEAD).status_code == 500
    assert nothing_written()
