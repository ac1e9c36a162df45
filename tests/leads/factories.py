"""Rows of the CRM for tests, written through the models as everything else is."""

from datetime import UTC, datetime, timedelta

import factory
from factory.django import DjangoModelFactory

from leads.models import (
    Activity,
    Call,
    CallDirection,
    CallStatus,
    Campaign,
    CampaignStatus,
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

NAMES = ("Asha", "Ravi", "Meera", "Imran", "Sunita", "Kabir", "Lakshmi", "Joseph")
PASSWORD = "a password for tests"


def status_of(role: StatusRole) -> LeadStatus:
    """The status with this role, of the ten that a fresh company has."""
    return LeadStatus.objects.get(role=role)


def status_named(name: str) -> LeadStatus:
    return LeadStatus.objects.get(name=name)


class UserFactory(DjangoModelFactory):
    """An agent; `role=Role.MANAGER` and so on for others. All have the password `PASSWORD`."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"agent{n}")
    name = factory.Sequence(lambda n: f"{NAMES[n % len(NAMES)]} Nair {n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    employee_code = factory.Sequence(lambda n: f"E-{n:04d}")
    role = Role.AGENT
    password = factory.django.Password(PASSWORD)


class CompanyAdminFactory(UserFactory):
    role = Role.COMPANY_ADMIN


class ManagerFactory(UserFactory):
    role = Role.MANAGER


class LeadStatusFactory(DjangoModelFactory):
    """One more stage beside the ten."""

    class Meta:
        model = LeadStatus

    name = factory.Sequence(lambda n: f"Stage {n}")
    position = factory.Sequence(lambda n: 100 + n)


class CampaignFactory(DjangoModelFactory):
    class Meta:
        model = Campaign

    name = factory.Sequence(lambda n: f"Campaign {n}")
    status = CampaignStatus.ACTIVE


class TagFactory(DjangoModelFactory):
    class Meta:
        model = Tag

    name = factory.Sequence(lambda n: f"tag {n}")


class LeadFactory(DjangoModelFactory):
    """A lead in Unassigned without an owner; `tags=[…]` takes tags."""

    class Meta:
        model = Lead
        skip_postgeneration_save = True

    first_name = factory.Sequence(lambda n: NAMES[n % len(NAMES)])
    last_name = "Kumar"
    phone = factory.Sequence(lambda n: f"+91987{n:07d}")
    email = factory.Sequence(lambda n: f"lead{n}@example.org")
    status = factory.LazyFunction(lambda: status_of(StatusRole.UNASSIGNED))

    @factory.post_generation
    def tags(self: Lead, create: bool, extracted: list[Tag] | None, **_: object) -> None:
        if create and extracted:
            self.tags.add(*extracted)


class CustomerFactory(LeadFactory):
    """A lead in status Customer, with order facts."""

    class Meta:
        model = Customer
        skip_postgeneration_save = True

    status = factory.LazyFunction(lambda: status_of(StatusRole.CUSTOMER))
    amount = "1499.00"
    currency = "INR"
    plan = "Yearly"
    payment_status = "paid"


class CallFactory(DjangoModelFactory):
    """A call of 95 seconds that was answered."""

    class Meta:
        model = Call

    lead = factory.SubFactory(LeadFactory)
    agent = factory.SubFactory(UserFactory)
    direction = CallDirection.OUTGOING
    status = CallStatus.CALLED
    started_at = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    ended_at = factory.LazyAttribute(lambda call: call.started_at + timedelta(seconds=call.duration_seconds))
    duration_seconds = 95


class FollowUpFactory(DjangoModelFactory):
    class Meta:
        model = FollowUp

    lead = factory.SubFactory(LeadFactory)
    owner = factory.SubFactory(UserFactory)
    due_at = datetime(2030, 1, 2, 6, 30, tzinfo=UTC)
    note = "Call back after lunch"


class NoteFactory(DjangoModelFactory):
    class Meta:
        model = Note

    lead = factory.SubFactory(LeadFactory)
    text = "Prefers to be called in the evening"
    author_type = "system"
    author_name = "Calliyo"


class ActivityFactory(DjangoModelFactory):
    class Meta:
        model = Activity

    lead = factory.SubFactory(LeadFactory)
    kind = "created"
    at = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
    data = factory.LazyFunction(dict)
