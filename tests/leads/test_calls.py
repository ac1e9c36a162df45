"""Calls, and the follow-ups that they settle."""

from datetime import UTC, datetime, timedelta

import pytest

from calliyo.models import Company
from leads.models import Call, CallStatus, FollowUp
from leads.operations.calls import end_call, log_call, update_call
from leads.operations.errors import InvalidCall
from tests.leads.factories import FollowUpFactory, LeadFactory, UserFactory

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)  # noon in India


def test_a_call_is_written_with_what_follows_from_what_is_told() -> None:
    lead, agent = LeadFactory(), UserFactory()
    ended = START + timedelta(seconds=95)
    call = log_call(
        lead=lead, agent=agent, status=CallStatus.CALLED, started_at=START, ended_at=ended, note=" ok "
    )
    assert (call.duration_seconds, call.connected, call.note) == (95, True, "ok")
    told = log_call(lead=lead, agent=agent, status="called", started_at=START, duration_seconds=60)
    assert told.ended_at == START + timedelta(seconds=60)
    rang = log_call(lead=lead, agent=agent, status="no_answer", started_at=START, ended_at=ended)
    assert (rang.duration_seconds, rang.connected, rang.ended_at) == (0, False, ended)
    now = log_call(lead=lead, agent=agent, status="busy")
    assert now.ended_at == now.started_at and now.completed_at is not None


def test_a_call_in_progress_has_not_ended() -> None:
    call = log_call(lead=LeadFactory(), agent=None, status="in_progress", started_at=START)
    assert (call.ended_at, call.duration_seconds, call.completed_at) == (None, 0, None)
    ended = end_call(call=call, status="called", ended_at=START + timedelta(seconds=30))
    assert (ended.duration_seconds, ended.status) == (30, "called")
    assert ended.completed_at is not None


def test_a_correction_writes_what_it_names_and_judges_the_end_whole() -> None:
    end = START + timedelta(seconds=30)
    call = log_call(lead=LeadFactory(), agent=None, status="called", started_at=START, ended_at=end)
    noted = update_call(call=call, changes={"note": " Sent the brochure "})
    assert (noted.note, noted.status, noted.duration_seconds) == ("Sent the brochure", "called", 30)
    corrected = update_call(call=call, changes={"status": "follow_up", "duration_seconds": 20})
    assert (corrected.status, corrected.duration_seconds, corrected.ended_at) == ("follow_up", 20, end)
    longer = update_call(call=call, changes={"ended_at": START + timedelta(seconds=50)})
    assert longer.duration_seconds == 50
    with pytest.raises(InvalidCall):
        update_call(call=call, changes={"started_at": START + timedelta(seconds=60)})
    running = update_call(call=call, changes={"status": "in_progress"})
    assert (running.ended_at, running.duration_seconds) == (None, 0)
    assert running.completed_at == call.completed_at
    again = end_call(call=call, status="busy")
    assert again.ended_at is not None and again.duration_seconds == 0


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"status": "called", "ended_at": START - timedelta(seconds=1)}, "ended_at"),
        ({"status": "called", "duration_seconds": -1}, "duration_seconds"),
        ({"status": "called", "ended_at": START, "duration_seconds": 5}, "duration_seconds"),
        ({"status": "in_progress", "ended_at": START}, "status"),
        ({"status": "in_progress", "duration_seconds": 5}, "status"),
    ],
)
def test_times_that_contradict_are_refused(told: dict[str, object], field: str) -> None:
    follow_up = FollowUpFactory(due_at=START)
    with pytest.raises(InvalidCall) as refused:
        log_call(lead=follow_up.lead, agent=None, started_at=START, **told)
    assert refused.value.field == field
    follow_up.refresh_from_db()
    assert not Call.objects.exists() and follow_up.resolved_at is None


def test_a_call_on_the_day_when_a_follow_up_is_due_resolves_it_in_the_companys_time_zone() -> None:
    Company.current()
    Company.objects.update(time_zone="Asia/Kolkata")
    lead = LeadFactory()
    first, last = (  # the first and the last moment of the 24th in India
        FollowUpFactory(lead=lead, due_at=datetime(2026, 11, 23, 18, 30, tzinfo=UTC)),
        FollowUpFactory(lead=lead, due_at=datetime(2026, 11, 24, 18, 29, 59, tzinfo=UTC)),
    )
    FollowUpFactory(lead=lead, due_at=datetime(2026, 11, 23, 18, 29, 59, tzinfo=UTC))
    FollowUpFactory(lead=lead, due_at=datetime(2026, 11, 24, 18, 30, tzinfo=UTC))
    FollowUpFactory(due_at=START)
    done = FollowUpFactory(lead=lead, due_at=START, resolved_at=START - timedelta(hours=1))
    log_call(lead=lead, agent=None, status="no_answer", started_at=START)
    resolved = FollowUp.objects.exclude(resolved_at=None).exclude(pk=done.pk)
    assert set(resolved) == {first, last}
    done.refresh_from_db()
    assert done.version == 1
