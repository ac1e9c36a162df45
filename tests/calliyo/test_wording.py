"""What a person reads of scopes and of times."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from apikeys.scopes import Scope
from calliyo.pages.wording import brief, exact, sentences, spoken, titled

NOW = datetime(2026, 11, 24, 17, 18, 22, tzinfo=UTC)  # 22:48:22 in India
READS = [scope for scope in Scope if scope.endswith(":read")]


@pytest.mark.parametrize(
    ("scopes", "headline", "rest"),
    [
        ([], "Nothing yet", "no scope is ticked"),
        (list(Scope), "Everything, read and write", ""),
        (READS, "Everything, read only", ""),
        (["leads:write"], "Leads write", "cannot see any lead"),
        (["leads:read", "leads:write"], "Leads read·write", ""),
        (["notes:write", "tags:read", "leads:read"], "Leads read", "Tags read, Notes write"),
        (["users:read"], "Users / Agents read", ""),
    ],
)
def test_scopes_in_short(scopes, headline, rest):
    told = brief(scopes)
    assert (told.headline, told.rest) == (headline, rest)


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ([], "Can do nothing: without a scope every request is refused."),
        (
            ["leads:write"],
            (
                "Can add leads without seeing any. Cannot see leads, customers, users, lead statuses, tags, follow-ups,"
                " notes, calls or campaigns."
            ),
        ),
        (READS[:-1], None),
        (
            READS,
            (
                "Can see leads, customers, users, lead statuses, tags, follow-ups, notes, calls and campaigns. "
                "Cannot change anything."
            ),
        ),
        (
            list(Scope),
            (
                "Can see, create and change leads; see customers, users, lead statuses, calls and campaigns; "
                "see, create, change and delete tags, follow-ups and notes."
            ),
        ),
    ],
)
def test_scopes_in_a_sentence(scopes, said):
    told = " ".join(sentences(scopes))
    if said is None:
        assert told.endswith("Cannot see campaigns. Cannot change anything.")
    else:
        assert told == said


def test_a_scope_bears_the_tables_words():
    assert titled("calls:read") == "Call history read"


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "today 21:48"),
        (timedelta(hours=22, minutes=48), "today 00:00"),
        (timedelta(hours=22, minutes=49), "yesterday 23:59"),
        (timedelta(days=2), "22 Nov"),
        (timedelta(days=400), "20 Oct 2025"),
    ],
)
def test_moments_are_spoken_in_the_companys_zone(age, said):
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        assert spoken(NOW - age, NOW) == said


def test_the_exact_time_names_its_zone():
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        assert exact(NOW) == "24 Nov 2026, 22:48:22 IST"
