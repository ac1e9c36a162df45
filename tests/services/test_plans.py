"""How PostgreSQL reads the lists: each filter by an index, as soon as there are enough rows for one to matter.

No index is meant for three kinds of filter:
- words that many rows have (calls' `direction` and `connected`, a first name that every eighth has): the newest rows
  are looked through, as the page is full after a few hundred;
- a search for one or two letters, which have no trigram: the same, and where nobody has them, one look at all rows;
- users, tags, lead statuses and campaigns, of which a company has hundreds.
"""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys.scopes import Scope
from bench.crowd import gather
from calliyo.api.lists import page_statement
from calliyo.api.pagination import Ordering, Slice
from leads.api.leads import LeadViewSet
from leads.models import Campaign, ExternalId, Lead, User
from tests.clients import public_client

LEADS = 40_000
HISTORY = """
    INSERT INTO leads_call (version, created_at, updated_at, lead_id, agent_id, direction, status, started_at, ended_at,
        completed_at, duration_seconds, note, recording_url)
    SELECT 1, created_at, updated_at, id, owner_id, (ARRAY['incoming', 'outgoing'])[1 + id % 2],
        CASE WHEN id % 500 = 0 THEN 'rescheduled' ELSE 'called' END, created_at, created_at, updated_at, id % 3,
        md5(id::text), '' FROM leads_lead;
    UPDATE leads_call SET agent_id = NULL WHERE agent_id = (SELECT max(id) FROM leads_user) AND id % 20 > 0;
    INSERT INTO leads_followup (version, created_at, updated_at, lead_id, owner_id, due_at, note, resolved_at)
    SELECT 1, created_at, updated_at, id, owner_id, created_at, md5(id::text),
        CASE WHEN id % 10 > 0 THEN created_at END FROM leads_lead;
    UPDATE leads_followup SET owner_id = NULL WHERE owner_id = (SELECT max(id) FROM leads_user) AND id % 20 > 0;
    INSERT INTO leads_note (version, created_at, updated_at, lead_id, text, author_type, author_name)
    SELECT 1, created_at, updated_at, id, md5(id::text), 'system', '' FROM leads_lead;
    INSERT INTO leads_deletion (resource, object_id, deleted_at) SELECT 'leads', -id, created_at FROM leads_lead;
    INSERT INTO leads_externalid (lead_id, api_key_id, value) SELECT id, 1, 'crm-' || id FROM leads_lead;
    UPDATE leads_lead SET source = 'trade fair' WHERE id % 200 = 0;
    UPDATE leads_lead SET converted_at = NULL, status_id = (SELECT id FROM leads_leadstatus WHERE role = 'unassigned')
    WHERE converted_at IS NOT NULL AND id % 5 > 0;
    UPDATE leads_lead SET status_id = (SELECT id FROM leads_leadstatus WHERE role = 'unassigned')
    WHERE status_id = (SELECT id FROM leads_leadstatus WHERE name = 'Not Interested') AND id % 20 > 0;
    UPDATE leads_lead SET plan = 'Gold', currency = 'INR', payment_status = 'paid'
    WHERE converted_at IS NOT NULL AND id % 100 > 0;
    UPDATE leads_lead SET plan = 'Rare', currency = 'XOF', payment_status = 'refunded'
    WHERE converted_at IS NOT NULL AND plan = '';
    SELECT gin_clean_pending_list(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relname LIKE '%by_words';
    ANALYZE;
"""


@pytest.fixture(scope="module")
def filled(django_db_setup, django_db_blocker):
    """The rows, for all tests here: what each of them writes is rolled back to these."""
    with django_db_blocker.unblock(), transaction.atomic():
        gather(LEADS)
        with connection.cursor() as cursor:
            cursor.execute(HISTORY)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def history(filled, db):
    """The rows are there, and the test may read them."""


@pytest.fixture
def client(history):
    return public_client(*Scope)


def plan_of(client, path):
    """The plan of the page's statement, as PostgreSQL gives it in JSON."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"/public/{path}")
    assert answer.status_code == 200, answer.content
    # Twice, where somebody at this cluster ended while the first was read with its horizon.
    *_, page = [query["sql"] for query in queries if "LIMIT 51" in query["sql"]]
    return explained(page)


def explained(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", None)
        (plan,) = cursor.fetchone()
    return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        if inner.get("Parent Relationship") != "SubPlan":  # what is read of each row that was found
            yield from nodes(inner)


def found_by(plan, table):
    """The indexes by which the rows of `table` are found; `everything` where it is looked through."""
    own = [node for node in nodes(plan) if node.get("Relation Name") == table]
    bitmaps = [node for node in nodes(plan) if node["Node Type"] == "Bitmap Index Scan"]
    assert own, plan
    if any(node["Node Type"] == "Seq Scan" for node in own):
        return {"everything"}
    return {node["Index Name"] for node in [*own, *bitmaps] if "Index Name" in node}


def assert_found_by(found, expected):
    """Each path's index is used; another one may narrow it down further, as the samples of the rows will have it."""
    assert {path: found[path] for path in expected if not expected[path] <= found[path]} == {}


def test_each_filter_of_leads_uses_its_index(history, client):
    owner, campaign = User.objects.latest("pk").pk, Campaign.objects.latest("pk").pk
    lead = Lead.objects.latest("pk")
    ExternalId.objects.update(api_key_id=client.key.pk)
    hour = an_hour_ago()
    expected = {
        "leads": {"leads_lead_pkey"},
        "leads?ordering=created_at": {"lead_by_created_at"},
        "leads?ordering=-updated_at": {"lead_by_updated_at"},
        f"leads?updated_after={hour}": {"lead_by_updated_at"},
        f"leads?created_after={hour}": {"lead_by_created_at"},
        f"leads?converted_after={hour}": {"lead_by_converted_at"},
        "leads?status=Not Interested": {"lead_by_status"},
        f"leads?owner_id={owner}": {"lead_by_owner"},
        f"leads?campaign_id={campaign}": {"lead_by_campaign"},
        "leads?source=trade fair": {"lead_by_source"},
        f"leads?phone={lead.phone.removeprefix('+91')}": {"lead_phone_unique"},
        f"leads?email={lead.email.upper()}": {"lead_by_email"},
        f"leads?last_name={lead.last_name}": {"lead_by_words"},
        "leads?first_name=Zelda": {"lead_by_words"},
        f"leads?search={lead.last_name}": {"lead_by_words"},
        f"leads?search={lead.phone.removeprefix('+91')}": {"lead_phone_unique"},
        f"leads?external_id=crm-{lead.pk}": {"leads_lead_pkey"},
        "leads?tag=Hot": {"leads_lead_pkey"},
    }
    assert_found_by({path: found_by(plan_of(client, path), "leads_lead") for path in expected}, expected)


def test_each_filter_of_customers_uses_its_index(history, client):
    expected = {
        "customers": {"lead_by_converted_at"},
        "customers?ordering=-converted_at": {"lead_by_converted_at"},
        "customers?plan=Rare": {"lead_by_plan"},
        "customers?currency=XOF": {"lead_by_currency"},
        "customers?payment_status=refunded": {"lead_by_payment_status"},
    }
    assert_found_by({path: found_by(plan_of(client, path), "leads_lead") for path in expected}, expected)


def test_each_filter_of_calls_uses_its_index(history, client):
    lead, agent = Lead.objects.latest("pk"), User.objects.latest("pk").pk
    hour = an_hour_ago()
    expected = {
        "calls": {"leads_call_pkey"},
        f"calls?lead_id={lead.pk}": {"call_by_lead"},
        f"calls?agent_id={agent}": {"call_by_agent"},
        "calls?status=rescheduled": {"call_by_status"},
        "calls?direction=incoming": {"leads_call_pkey"},
        "calls?connected=true": {"leads_call_pkey"},
        f"calls?started_after={hour}": {"call_by_started_at"},
        f"calls?ended_after={hour}": {"call_by_ended_at"},
        f"calls?updated_after={hour}": {"call_by_updated_at"},
        f"calls?created_after={hour}": {"call_by_created_at"},
        "calls?search=c4ca4238": {"call_by_words"},
    }
    assert_found_by({path: found_by(plan_of(client, path), "leads_call") for path in expected}, expected)


def test_each_filter_of_follow_ups_notes_and_deletions_uses_its_index(history, client):
    lead, owner = Lead.objects.latest("pk"), User.objects.latest("pk").pk
    hour = an_hour_ago()
    expected = {
        f"follow-ups?lead_id={lead.pk}": {"follow_up_by_lead"},
        f"follow-ups?owner_id={owner}": {"follow_up_by_owner"},
        "follow-ups?status=open": {"follow_up_open_by_due_at"},
        "follow-ups?status=overdue&ordering=due_at": {"follow_up_open_by_due_at"},
        "follow-ups?status=resolved": {"leads_followup_pkey"},
        f"follow-ups?due_after={hour}": {"follow_up_by_due_at"},
        f"follow-ups?resolved_after={hour}": {"follow_up_by_resolved_at"},
        f"follow-ups?updated_after={hour}": {"follow_up_by_updated_at"},
        f"follow-ups?created_after={hour}": {"follow_up_by_created_at"},
        "follow-ups?search=c4ca4238": {"follow_up_by_words"},
        f"notes?lead_id={lead.pk}": {"note_by_lead"},
        f"notes?updated_after={hour}": {"note_by_updated_at"},
        f"notes?created_after={hour}": {"note_by_created_at"},
        "notes?search=c4ca4238": {"note_by_words"},
        f"leads?deleted_after={hour}": {"deletion_by_resource"},
    }
    tables = {"follow-ups": "leads_followup", "notes": "leads_note", "leads": "leads_deletion"}
    found = {path: found_by(plan_of(client, path), tables[path.partition("?")[0]]) for path in expected}
    assert_found_by(found, expected)


@pytest.mark.parametrize("times", [(), ("updated_after",), ("updated_after", "updated_before")])
def test_the_plan_that_is_kept_for_all_values_uses_the_index(history, times):
    ordering = Ordering(field="updated_at" if times else "id", descending=not times)
    piece = Slice(ordering=ordering, limit=50, after=(False, False))
    statement = page_statement(LeadViewSet, piece, times, ends_at_as_of=bool(times))
    numbers = iter(range(1, 100))
    sql = re.sub("%s", lambda _: f"${next(numbers)}", statement.sql)
    values = ", ".join("NULL" for _ in statement.slots)
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE kept AS {sql}", None)
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    index = "lead_by_updated_at" if times else "leads_lead_pkey"
    plan = explained(f"EXECUTE kept({values})")
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE kept")  # no rollback does that
    assert found_by(plan, "leads_lead") == {index}
    assert "Sort" not in {node["Node Type"] for node in nodes(plan)}


def an_hour_ago():
    return (timezone.now() - timedelta(hours=1)).isoformat().replace("+", "%2B")
