"""The company's row in the admin: one, checked, and only for company admins."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from calliyo.models import Company
from leads.models import FollowUp, Role
from tests.leads.factories import LeadFactory, UserFactory

pytestmark = pytest.mark.django_db
GOOD = {"name": "Sunrise Institute", "country": "us", "time_zone": "America/New_York", "retention_days": "45"}


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(UserFactory(role=Role.COMPANY_ADMIN))
    return client


def test_its_list_leads_to_the_one_row(staff: Client) -> None:
    answer = staff.get("/admin/calliyo/company/", follow=True)
    assert answer.redirect_chain[-1][0] == "/admin/calliyo/company/1/change/"
    assert staff.get("/admin/calliyo/company/add/").status_code == 403
    assert staff.post("/admin/calliyo/company/1/delete/", {"post": "yes"}).status_code == 403


def test_it_is_changed(staff: Client) -> None:
    Company.current()
    assert staff.post("/admin/calliyo/company/1/change/", GOOD).status_code == 302
    company = Company.objects.get()
    told = (company.name, company.country, company.time_zone, company.retention_days)
    assert told == ("Sunrise Institute", "US", "America/New_York", 45)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("country", "XX"),
        ("country", "1"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../x"),
        ("retention_days", "0"),
    ],
)
def test_what_does_not_exist_is_refused(field: str, value: str, staff: Client) -> None:
    before = Company.current()
    answer = staff.post("/admin/calliyo/company/1/change/", GOOD | {field: value})
    assert answer.context["adminform"].form.errors.keys() == {field}
    assert Company.objects.get().name == before.name


@pytest.mark.parametrize("role", [Role.MANAGER, Role.AGENT])
def test_others_do_not_see_it(role: Role, client: Client) -> None:
    client.force_login(UserFactory(role=role))
    assert client.get("/admin/calliyo/company/").status_code == 403
    assert client.get("/admin/calliyo/company/1/change/").status_code == 403


def test_staff_type_times_in_the_companys_time_zone(staff: Client) -> None:
    Company.current()
    Company.objects.update(time_zone="America/New_York")
    data = {"lead": LeadFactory().pk, "due_at_0": "2030-01-02", "due_at_1": "12:00:00"}
    assert staff.post("/admin/leads/followup/add/", data).status_code == 302
    assert FollowUp.objects.get().due_at == datetime(2030, 1, 2, 17, tzinfo=UTC)
