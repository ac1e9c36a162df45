"""Every admin page of the CRM opens for whom it should, in a fixed number of queries."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leads.models import Deletion, ExternalId, Role, User
from tests.leads.factories import (
    ActivityFactory,
    CallFactory,
    CampaignFactory,
    CustomerFactory,
    FollowUpFactory,
    LeadFactory,
    NoteFactory,
    TagFactory,
    UserFactory,
    status_named,
)

pytestmark = pytest.mark.django_db

# Model of `leads` → how a row of it is made.
ROWS: dict[str, Callable[[], object]] = {
    "lead": lambda: LeadFactory(
        owner=UserFactory(), campaign=CampaignFactory(), tags=[TagFactory(), TagFactory()]
    ),
    "customer": lambda: CustomerFactory(owner=UserFactory(), tags=[TagFactory()]),
    "call": CallFactory,
    "followup": FollowUpFactory,
    "note": NoteFactory,
    "tag": TagFactory,
    "campaign": CampaignFactory,
    "leadstatus": lambda: status_named("Busy"),
    "user": UserFactory,
    "activity": ActivityFactory,
    "deletion": lambda: Deletion.objects.create(
        resource="leads", object_id=1, deleted_at="2026-11-24T06:00:00Z"
    ),
    "externalid": lambda: ExternalId.objects.create(lead=LeadFactory(), api_key_id=1, value="z-1"),
}
ALL, WORK, LOOK, NOTHING = (
    {"list", "add", "change", "delete"},
    {"list", "add", "change"},
    {"list", "change"},
    set(),
)
READ_ONLY = {"activity", "deletion", "externalid"}
MAY: dict[str, dict[str, set[str]]] = {
    Role.COMPANY_ADMIN: {model: LOOK if model in READ_ONLY else ALL for model in ROWS}
    | {"customer": ALL - {"add"}},
    Role.MANAGER: {model: LOOK if model in READ_ONLY else ALL for model in ROWS}
    | {"customer": ALL - {"add"}, "user": LOOK},
    Role.AGENT: {
        "lead": WORK,
        "customer": LOOK,
        "call": WORK,
        "followup": WORK,
        "note": WORK,
        "tag": LOOK,
        "campaign": LOOK,
        "leadstatus": LOOK,
        "user": LOOK,
        "activity": LOOK,
        "deletion": NOTHING,
        "externalid": NOTHING,
    },
}


@pytest.fixture
def client_of(client: Client) -> Callable[[Role], Client]:
    def logged_in(role: Role) -> Client:
        client.force_login(UserFactory(role=role))
        return client

    return logged_in


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("model", list(ROWS))
def test_each_page_opens_for_whom_it_should(
    model: str, role: Role, client_of: Callable[[Role], Client]
) -> None:
    row = ROWS[model]()
    client = client_of(role)
    pages = {"list": "", "add": "add/", "change": f"{row.pk}/change/", "delete": f"{row.pk}/delete/"}
    for page, path in pages.items():
        answer = client.get(f"/admin/leads/{model}/{path}")
        # Django answers a change page that may not be seen with 403, as any other.
        expected = {200} if page in MAY[role][model] else {403, 404}
        assert answer.status_code in expected, f"{page}: {answer.status_code}"


@pytest.mark.parametrize("model", [model for model in ROWS if model != "leadstatus"])
def test_a_list_makes_no_more_queries_with_more_rows(model: str, client_of: Callable[[Role], Client]) -> None:
    client = client_of(Role.COMPANY_ADMIN)
    address = f"/admin/leads/{model}/"
    ROWS[model]()
    client.get(address)  # content types and the like are cached from here on
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert client.get(address).status_code == 200
    for number in range(8):
        if model == "externalid":
            ExternalId.objects.create(lead=LeadFactory(), api_key_id=1, value=f"a-{number}")
        else:
            ROWS[model]()
    with CaptureQueriesContext(connection) as many:
        assert client.get(address).status_code == 200
    assert len(many) == len(few) <= 13
    assert not any("COUNT(*)" in query["sql"] and "LIMIT" not in query["sql"] for query in many), (
        "a count without a bound reads a million rows"
    )


@pytest.mark.parametrize(
    "page", ["login/", "", "leads/", "leads/lead/?q=asha", "leads/lead/?status__id__exact=1"]
)
def test_pages_between_open(page: str, client_of: Callable[[Role], Client]) -> None:
    for role in Role:
        answer = client_of(role).get(f"/admin/{page}")
        assert answer.status_code == (302 if page == "login/" else 200)


def test_no_page_has_script_or_style_of_its_own(client_of: Callable[[Role], Client]) -> None:
    lead = ROWS["lead"]()
    CallFactory(lead=lead)
    client = client_of(Role.COMPANY_ADMIN)
    for page in ("", f"{lead.pk}/change/", "add/"):
        answer = client.get(f"/admin/leads/lead/{page}")
        assert " style=" not in answer.text and "<style" not in answer.text and " onclick=" not in answer.text
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


def test_pickers_find_people_leads_and_campaigns(client_of: Callable[[Role], Client]) -> None:
    client = client_of(Role.AGENT)
    agent = UserFactory(name="Farheen Shaikh")
    lead = LeadFactory(phone="+919876543210")
    UserFactory(name="Somebody Else")
    address = "/admin/autocomplete/?app_label=leads&model_name={}&field_name={}&term={}"
    found = client.get(address.format("lead", "owner", "farheen")).json()["results"]
    assert [row["id"] for row in found] == [str(agent.pk)]
    found = client.get(address.format("call", "lead", "098765 43210")).json()["results"]
    assert [row["id"] for row in found] == [str(lead.pk)]
    assert User.objects.count() > 2


@pytest.mark.parametrize(
    "term", ["9876543210", "+91 98765-43210", "098765 43210", "98765", "+919876", "0987654"]
)
def test_leads_are_searched_by_phone_in_any_spelling(term: str, client_of: Callable[[Role], Client]) -> None:
    LeadFactory(first_name="Wanted", phone="+919876543210")
    LeadFactory(first_name="Other", phone="+918876543210")
    answer = client_of(Role.AGENT).get("/admin/leads/lead/", {"q": term})
    assert "Wanted" in answer.text and "Other" not in answer.text
    call = CallFactory(lead=LeadFactory(first_name="Called", phone="+919876543219"))
    answer = client_of(Role.AGENT).get("/admin/leads/call/", {"q": term})
    assert (str(call.lead) in answer.text) == (len(term) < 10)


def test_leads_are_searched_by_words_of_name_and_address(client_of: Callable[[Role], Client]) -> None:
    LeadFactory(first_name="Wanted", last_name="Person", email="find.me@example.org")
    LeadFactory(first_name="Other")
    client = client_of(Role.AGENT)
    for term in ("wanted person", "FIND.ME@", "pers", "a\x00b"):
        answer = client.get("/admin/leads/lead/", {"q": term})
        assert answer.status_code == 200
        assert ("Wanted" in answer.text and "Other Kumar" not in answer.text) or "\x00" in term


def test_follow_ups_show_the_open_ones_longest_overdue_first(client_of: Callable[[Role], Client]) -> None:
    FollowUpFactory(lead__first_name="Future")
    FollowUpFactory(lead__first_name="Overdue", due_at="2020-01-01T06:30:00Z")
    FollowUpFactory(lead__first_name="Finished", resolved_at="2020-01-01T06:30:00Z")
    client = client_of(Role.AGENT)
    text = client.get("/admin/leads/followup/").text
    assert text.index("Overdue Kumar") < text.index("Future Kumar") and "Finished" not in text
    shown = {
        due: {name for name in ("Overdue", "Future", "Finished") if f"{name} Kumar" in page}
        for due in ("overdue", "today", "later", "resolved", "all")
        for page in [client.get("/admin/leads/followup/", {"due": due}).text]
    }
    assert shown == {
        "overdue": {"Overdue"},
        "today": set(),
        "later": {"Future"},
        "resolved": {"Finished"},
        "all": {"Overdue", "Future", "Finished"},
    }
