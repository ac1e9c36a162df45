"""The demo's stories hold together: pure, so that a thousand of them are looked at in a moment."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from math import gcd
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

from calliyo.management.demo import story, words
from calliyo.management.demo.story import LeadStory, lead_story, phone_of
from leads.models import CallStatus

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Kolkata")


@pytest.fixture(scope="module")
def stories() -> list[LeadStory]:
    return [lead_story(index, now=NOW, zone=ZONE, agents=8) for index in range(1500)]


def test_the_same_number_is_the_same_person() -> None:
    assert lead_story(7, now=NOW, zone=ZONE, agents=8) == lead_story(7, now=NOW, zone=ZONE, agents=8)


def test_no_two_of_a_million_leads_share_a_phone() -> None:
    assert gcd(story._STEP, story._NUMBERS) == 1  # stepping meets every number once before any comes again
    assert len({phone_of(index) for index in range(20_000)}) == 20_000


def test_phones_are_valid_indian_mobiles() -> None:
    for prefix in story._RANGES:
        for rest in (0, 123_456, 999_999):
            number = phonenumbers.parse(f"+91{prefix}{rest:06d}")
            assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


def test_statuses_come_in_their_shares(stories: list[LeadStory]) -> None:
    found = Counter(lead.status for lead in stories)
    assert set(found) == set(story._PLOTS)
    assert all(abs(found[name] / 15 - plot.share) < 3.5 for name, plot in story._PLOTS.items())
    assert sum(plot.share for plot in story._PLOTS.values()) == 100


def test_what_happened_is_past_and_in_order(stories: list[LeadStory]) -> None:
    for lead in stories:
        moments = [lead.created_at, *([lead.assigned_at] if lead.assigned_at else [])]
        for call in lead.calls:
            moments += [call.started_at, call.ended_at]
        assert moments == sorted(moments)
        assert moments[-1] <= NOW
        assert all(lead.created_at < note.at <= NOW for note in lead.notes)
        assert all(follow_up.created_at <= NOW for follow_up in lead.follow_ups)
        assert all(
            follow_up.due_at > follow_up.created_at - timedelta(hours=1) for follow_up in lead.follow_ups
        )


def test_a_story_ends_in_the_leads_own_status(stories: list[LeadStory]) -> None:
    for lead in stories:
        assert (lead.owner is None) == (lead.status == "Unassigned")
        assert (lead.moves[-1].to if lead.moves else "Unassigned") == lead.status
        assert (lead.converted_at is not None) == (lead.order is not None) == (lead.status == "Customer")
        if lead.status == "Followups":
            assert [follow_up.resolved_at for follow_up in lead.follow_ups][-1] is None


def test_follow_ups_are_due_today_overdue_and_ahead(stories: list[LeadStory]) -> None:
    today = NOW.astimezone(ZONE).date()
    due = [
        follow_up.due_at.astimezone(ZONE).date()
        for lead in stories[:250]
        for follow_up in lead.follow_ups
        if not follow_up.resolved_at
    ]
    assert sum(day == today for day in due) >= 8
    assert sum(day < today for day in due) >= 6
    assert sum(day > today for day in due) >= 10


def test_calls_are_made_in_office_hours(stories: list[LeadStory]) -> None:
    for call in (call for lead in stories for call in lead.calls):
        local = call.started_at.astimezone(ZONE)
        assert local.weekday() != 6
        assert story.OPENS <= local.time() <= story.CLOSES
        assert (call.duration > 0) == (call.status in {"called", "follow_up", "rescheduled"})


def test_nobody_in_the_demo_is_called_lead_1(stories: list[LeadStory]) -> None:
    assert len({(lead.first_name, lead.last_name) for lead in stories}) > 900
    assert all(lead.email == "" or lead.email.partition("@")[2].startswith("example.") for lead in stories)
    assert {call.status for lead in stories for call in lead.calls} == set(CallStatus) - {"in_progress"}
    assert set(words.TAGS) == {tag for lead in stories for tag in lead.tags}
