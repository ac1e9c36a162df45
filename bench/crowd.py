"""A great many leads, as a company of fifty agents gathers them; by PostgreSQL itself: a million in a minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection

from calliyo.indexes import WordsIndex
from leads.models import Campaign, Lead, Tag, User

AGENTS: Final = 50
CAMPAIGNS: Final = 20
TAGS: Final = ("Hot", "Callback", "Premium")

# Their ids follow each other, so that leads refer to them by `least + number % count`.
_LEADS: Final = """
    INSERT INTO leads_lead (version, created_at, updated_at, first_name, last_name, phone, email, source,
        converted_at, currency, plan, payment_status, campaign_id, owner_id, status_id)
    SELECT 1 + n %% 5, at, least(at + (n %% 1440) * interval '1 minute', date_trunc('milliseconds', now())),
        (ARRAY['Asha', 'Ravi', 'Farheen', 'Imran', 'Lakshmi', 'Joseph', 'Meera', 'Arjun'])[1 + n / 7 %% 8],
        initcap(substr(md5(n::text), 1, 7)), '+9170' || lpad(n::text, 8, '0'), 'lead' || n || '@example.com',
        (ARRAY['website', 'referral', 'walk-in', 'import', ''])[1 + n %% 5],
        CASE WHEN status.role = 'customer' THEN at END, '', '', '',
        CASE WHEN n %% 3 = 0 THEN %(campaign)s + n %% 20 END, CASE WHEN n %% 10 > 0 THEN %(agent)s + n %% 50 END,
        status.id
    FROM (
        SELECT n, date_trunc('milliseconds', now() - (%(count)s - n) * interval '30 seconds') AS at
        FROM generate_series(1, %(count)s) AS n
    ) AS person
    JOIN (SELECT id, role, row_number() OVER (ORDER BY position) - 1 AS place FROM leads_leadstatus) AS status
        ON status.place = n / 3 %% (SELECT count(*) FROM leads_leadstatus)
    ORDER BY n
"""
_TAGS: Final = """
    INSERT INTO leads_leadtag (lead_id, tag_id)
    SELECT lead.id, tag.id FROM leads_lead AS lead JOIN leads_tag AS tag ON tag.id %% 7 < lead.id %% 5
    WHERE lead.id %% 3 = 0
"""


@contextmanager
def without_words_indexes() -> Iterator[None]:
    """Built at the end, PostgreSQL's trigrams take a fraction of the time that row by row takes."""
    indexes = [index for index in Lead._meta.indexes if isinstance(index, WordsIndex)]
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.remove_index(Lead, index)
    yield
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.add_index(Lead, index)


def gather(count: int) -> None:
    """So many leads, a third of them with tags."""
    agents = User.objects.bulk_create(
        User(username=f"agent{number}", name=f"Agent {number}", email=f"agent{number}@example.com")
        for number in range(AGENTS)
    )
    campaigns = Campaign.objects.bulk_create(Campaign(name=f"Effort {number}") for number in range(CAMPAIGNS))
    Tag.objects.bulk_create(Tag(name=name) for name in TAGS)
    with connection.cursor() as cursor:
        cursor.execute(_LEADS, {"count": count, "agent": agents[0].pk, "campaign": campaigns[0].pk})
        cursor.execute(_TAGS, [])
