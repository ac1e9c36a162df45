"""A plain list on PostgreSQL: key, horizon and page by one statement, and nothing shown that should not be."""

import threading
import time
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest
from django.db import connection

from apikeys import authentication
from apikeys.authentication import _key_and_page
from apikeys.operations import deactivate_key
from calliyo.api.pagination import Ordering, Slice
from calliyo.api.sync import HorizonHere
from leads.api.leads import LeadViewSet
from leads.models import Lead
from tests.clients import fewest_statements, public_client
from tests.leads.factories import LeadFactory
from tests.servers import postgresql

pytestmark = pytest.mark.django_db(transaction=True)
LEADS, WRITERS, SECONDS = 30, 4, 3.0
NEWEST = Slice.at(None, ordering=Ordering.named("-id"), limit=50)


@pytest.fixture
def client():
    return public_client("leads:read")


def test_an_active_key_comes_with_the_page_and_no_other_key_does(client):
    leads = [LeadFactory().pk for _ in range(3)]
    joined = _key_and_page(LeadViewSet, NEWEST)
    found, rows = joined.fetch({"digest": client.key.digest})
    assert found["id"] == client.key.pk and [row[0] for row in rows] == leads[::-1]
    assert joined.fetch({"digest": "0" * 64}) == (None, [])
    deactivate_key(key=client.key)
    found, rows = joined.fetch({"digest": client.key.digest})
    assert found["id"] == client.key.pk and rows == []


@pytest.mark.parametrize(
    "path", ["/public/leads?limit=0", "/public/leads?cursor=no", "/public/leads?fields=no"]
)
def test_who_may_not_come_in_is_not_told_what_is_wrong_with_the_query(client, path):
    assert client.get(path).status_code == 400
    deactivate_key(key=client.key)
    assert client.get(path).json()["code"] == "key_inactive"
    client.token = client.token[:-1] + ("0" if client.token[-1] != "0" else "1")
    assert client.get(path).status_code == 401


def test_a_page_that_was_read_for_a_key_without_the_scope_is_not_shown():
    LeadFactory(first_name="Meera")
    answer = public_client("tags:read").get("/public/leads")
    assert answer.status_code == 403 and b"Meera" not in answer.content


def test_nothing_is_read_ahead_for_a_token_that_was_refused_for_its_limit(monkeypatch):
    client = public_client("leads:read", rate_limit=2)
    while client.get("/public/leads").status_code == 200:
        pass
    read: list[str] = []
    monkeypatch.setattr(authentication, "_key_and_page", lambda *_: read.append("a page"))
    assert client.get("/public/leads").status_code == 429
    assert read == []


def test_each_of_two_keys_sees_its_own_external_ids(client):
    other = public_client("leads:read", "leads:write")
    lead = {"first_name": "Asha", "last_name": "Verma", "phone": "+919800000001", "external_id": "crm-7"}
    assert other.post("/public/leads", lead).status_code == 201
    own = [each.get("/public/leads").json()["results"][0]["external_id"] for each in (other, client)]
    assert own == ["crm-7", None]


def test_pages_behind_the_first_and_ordered_ones_are_read_so_too(client):
    for _ in range(5):
        LeadFactory()
    client.get("/public/leads")  # notes its use
    path = "/public/leads?limit=2&ordering=-created_at"
    seen = []
    while path:
        assert fewest_statements(partial(client.get, path), at_most=1) == 1
        page = client.get(path).json()
        seen += [row["id"] for row in page["results"]]
        path = page["next"]
    assert seen == list(Lead.objects.order_by("-created_at", "-id").values_list("pk", flat=True))


def test_where_the_horizon_cannot_be_told_the_page_is_read_behind_one_that_can(
    client, monkeypatch, django_assert_num_queries
):
    lead = LeadFactory()
    client.get("/public/leads")  # notes its use

    class Untold:
        def fetch(self, values):
            found, rows = _key_and_page(LeadViewSet, NEWEST).fetch(values)
            return {**found, "horizon": None}, rows[:0]

    monkeypatch.setattr(authentication, "_key_and_page", lambda *_: Untold())
    with django_assert_num_queries(3):
        page = client.get("/public/leads").json()
    assert [row["id"] for row in page["results"]] == [lead.pk]
    assert page["as_of"] > lead.updated_at.isoformat(timespec="milliseconds")


def test_who_was_seen_writing_and_has_ended_since_leaves_no_horizon():
    horizon = f"SELECT {HorizonHere().as_sql(None, connection)[0]}"
    with postgresql() as url, psycopg.connect(url) as reader, psycopg.connect(url) as writer:
        reader.execute("CREATE TABLE written (id int)")
        reader.commit()
        before = datetime.now(UTC)
        writer.execute("INSERT INTO written VALUES (1)")
        [began] = writer.execute("SELECT date_trunc('milliseconds', now())").fetchone()
        time.sleep(0.01)
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")  # its snapshot, which all that follows sees by
        assert reader.execute(horizon).fetchone() == (began,)
        writer.commit()
        reader.execute("SELECT pg_stat_clear_snapshot()")
        assert reader.execute(horizon).fetchone() == (None,)
        reader.commit()
        assert reader.execute(horizon).fetchone()[0] > began >= before.replace(microsecond=0)


def test_who_goes_on_from_any_plain_list_misses_nothing(client):
    leads = [LeadFactory().pk for _ in range(LEADS)]
    stop = threading.Event()

    def write(own):
        number = 0
        try:
            while not stop.is_set():
                number += 1
                Lead.objects.filter(pk=own[number % len(own)]).update(source=f"change {number}")
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(leads[number::WRITERS],)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    until, read = time.monotonic() + SECONDS, []
    while time.monotonic() < until:
        read.append(client.get(f"/public/leads?limit={LEADS}").json())
    stop.set()
    for writer in writers:
        writer.join()
    final = {row["id"]: row for row in client.get(f"/public/leads?limit={LEADS}").json()["results"]}
    assert len(read) > 20
    for page in read:
        since = client.get("/public/leads", {"updated_after": page["as_of"], "limit": LEADS}).json()[
            "results"
        ]
        assert {row["id"]: row for row in [*page["results"], *since]} == final
