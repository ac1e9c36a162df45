"""A lead's timeline: one list, newest first, in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from leads.activities import ActivityKind
from leads.timeline import describe, timeline
from tests.leads.factories import (
    ActivityFactory,
    CallFactory,
    FollowUpFactory,
    LeadFactory,
    NoteFactory,
    UserFactory,
)

NOON = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.mark.django_db
def test_all_kinds_of_entries_are_one_list_newest_first_in_four_queries(django_assert_num_queries) -> None:
    lead, agent = LeadFactory(), UserFactory(name="Farheen Shaikh")
    ActivityFactory(lead=lead, at=NOON, kind="created", data={"source": "Referral"}, actor_name="Calliyo")
    CallFactory(lead=lead, agent=agent, started_at=NOON + timedelta(hours=1), note="Asked for the fee")
    NoteFactory(
        lead=lead, created_at=NOON + timedelta(hours=2), text="Prefers evenings", author_name="Farheen Shaikh"
    )
    FollowUpFactory(lead=lead, owner=agent, created_at=NOON + timedelta(hours=3), note="Call after lunch")
    CallFactory(
        lead=lead, agent=None, started_at=NOON + timedelta(hours=4), status="missed", duration_seconds=0
    )
    NoteFactory(text="On another lead")
    with django_assert_num_queries(4):
        entries = timeline(lead)
    assert [(entry.kind, entry.who, entry.headline, entry.text) for entry in entries] == [
        ("call", "", "Outgoing call: Missed", ""),
        ("follow_up", "Farheen Shaikh", "Follow-up, open", "Call after lunch"),
        ("note", "Farheen Shaikh", "Note", "Prefers evenings"),
        ("call", "Farheen Shaikh", "Outgoing call: Called, 1 min 35 s", "Asked for the fee"),
        ("created", "Calliyo", "Lead created", "Source: Referral"),
    ]
    assert timeline(lead, limit=2) == entries[:2]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("created", {}, ("Lead created", "")),
        ("submitted_again", {"submitted": {"source": "ad"}}, ("Sent a form again", "source: ad")),
        (
            "details_changed",
            {
                "last_name": {"from": "", "to": "Rao"},
                "campaign": {"from": None, "to": {"id": 1, "name": "Diwali"}},
            },
            ("Details changed", "last name: empty → Rao\ncampaign: none → Diwali"),
        ),
        ("tags_changed", {"added": ["Hot"], "removed": ["EMI"]}, ("Tags changed", "+ Hot, − EMI")),
        (
            "status_changed",
            {"from": {"name": "Busy"}, "to": {"name": "Missed"}},
            ("Status: Busy → Missed", ""),
        ),
        ("owner_changed", {"from": None, "to": {"id": 1, "name": "Asha"}}, ("Assigned to Asha", "")),
        ("owner_changed", {"from": {"id": 1, "name": "Asha"}, "to": None}, ("Owner: Asha → nobody", "")),
        (
            "follow_up_rescheduled",
            {"id": 1, "from": "2030-01-02T06:30:00.000Z", "to": "2030-01-03T06:30:00.000Z"},
            ("Follow-up moved", "2 Jan 2030, 12:00 → 3 Jan 2030, 12:00"),
        ),
        ("follow_up_reopened", {"id": 1}, ("Follow-up opened again", "")),
        ("of_later_days", {}, ("Of later days", "")),
    ],
)
def test_an_activity_is_told_in_words(kind: str, data: dict[str, object], words: tuple[str, str]) -> None:
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        assert describe(kind, data) == words


def test_every_kind_has_its_words() -> None:
    assert all(describe(kind, {})[0] for kind in ActivityKind)
