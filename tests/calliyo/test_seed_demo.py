"""`seed_demo`: all resources, the same each time, nothing twice."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from calliyo.models import Company
from leads.models import (
    Activity,
    Call,
    Campaign,
    Customer,
    FollowUp,
    Lead,
    LeadStatus,
    Note,
    Role,
    StatusRole,
    Tag,
    User,
)
from tests.leads.factories import LeadFactory, status_named

RESOURCES = (Lead, Customer, User, LeadStatus, Tag, FollowUp, Note, Call, Campaign, Activity)


def seed(*arguments: str) -> dict[str, int]:
    out = StringIO()
    call_command("seed_demo", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def counts() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in RESOURCES}


@pytest.mark.django_db
class TestSeedDemo:
    def test_every_resource_has_rows_and_a_second_time_adds_none(self) -> None:
        added = seed()
        first = counts()
        assert all(first.values())
        assert (added["leads"], first["Lead"]) == (250, 250)
        assert added["customers"] == first["Customer"] and added["follow_ups"] == first["FollowUp"]
        assert set(seed().values()) == {0}
        assert counts() == first

    def test_more_leads_are_added_to_those_that_are_there(self) -> None:
        seed("--leads", "20")
        before = set(Lead.objects.values_list("phone", flat=True))
        assert seed("--leads", "45")["leads"] == 25
        assert before < set(Lead.objects.values_list("phone", flat=True))

    def test_what_a_person_made_is_left_alone(self) -> None:
        Company.current()
        Company.objects.update(name="Sunrise Institute")
        lead = LeadFactory()
        Tag.objects.create(name="HOT")
        LeadStatus.objects.filter(name="Missed").delete()
        seed()
        assert Company.current().name == "Sunrise Institute"
        assert (
            not Tag.objects.filter(name="Hot").exists()
            and not LeadStatus.objects.filter(name="Missed").exists()
        )
        assert Lead.objects.get(pk=lead.pk).version == 1

    def test_people_whom_somebody_renamed_are_not_made_again(self) -> None:
        seed("--leads", "5")
        User.objects.filter(username="farheen.shaikh").update(username="Farheen", name="Farheen S.")
        User.objects.filter(username="rohan.kapoor").update(employee_code="X-1", email="Rohan@example.org")
        assert set(seed("--leads", "5").values()) == {0}

    def test_the_histories_hold_together(self) -> None:
        seed()
        now = timezone.now()
        assert Company.current().name == "Northstar Skills"
        assert not Lead.objects.filter(created_at__gt=now).exists()
        assert not Lead.objects.filter(owner=None).exclude(status__role=StatusRole.UNASSIGNED).exists()
        assert set(Customer.objects.exclude(converted_at=None)) == set(Customer.objects.all())
        assert not Customer.objects.filter(amount=None).exists()
        assert FollowUp.objects.filter(resolved_at=None, due_at__lt=now).exists()
        assert FollowUp.objects.filter(resolved_at=None, due_at__gte=now).exists()
        assert status_named("Not Picked").leads.exists()
        for agent in User.objects.exclude(lead_cap=None):
            assert agent.leads.exclude(status__role=StatusRole.CUSTOMER).count() <= agent.lead_cap

    def test_the_team_has_every_role_and_nobody_can_log_in_as_one_of_it(self) -> None:
        seed("--leads", "0")
        assert set(User.objects.values_list("role", flat=True)) == set(Role)
        assert not any(user.has_usable_password() for user in User.objects.all())
        assert not Lead.objects.exists()

    def test_people_read_what_was_added(self) -> None:
        out = StringIO()
        call_command("seed_demo", "--leads", "3", stdout=out)
        assert out.getvalue().startswith("Added 11 users, 5 campaigns, 10 tags, 3 leads")
        out = StringIO()
        call_command("seed_demo", "--leads", "3", stdout=out)
        assert out.getvalue() == "Nothing to add: the demo data is there already.\n"


@pytest.mark.parametrize("number", ["-1", "many", "1e6", "10000001", "٣"])
def test_what_is_no_number_of_leads_is_wrong_usage(number: str) -> None:
    with pytest.raises(CommandError, match="is not a number of leads"):
        call_command("seed_demo", "--leads", number)
