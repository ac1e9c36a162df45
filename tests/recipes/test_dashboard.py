"""`docs/recipes/dashboard.md`: each program loads a live Calliyo, and finds in it what is there."""

import json
import re
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import pytest
import requests
from django.utils import timezone

from leads.models import Call, Lead, Tag
from leads.operations.conversion import convert_leads
from tests.leads.factories import CallFactory, LeadFactory, UserFactory
from tests.pages import Page
from tests.recipes.programs import run

PAGE = Page("recipes/dashboard.md")
LISTS = ("leads", "customers", "calls", "users")


@pytest.fixture
def environment(follow, live_server, tmp_path):
    """What the page's programs find in their environment."""
    client, _ = follow(PAGE)
    return {"CALLIYO": live_server.url, "TOKEN": client.token, "DUCKDB": str(tmp_path / "calliyo.duckdb")}


def test_the_request_gets_the_answer_that_the_page_shows(follow):
    tags = [Tag.objects.create(name=name) for name in ("hot", "webinar")]
    lead = LeadFactory(phone="+919876543210", source="website", owner=None, tags=tags)
    LeadFactory(source="import")
    _, conversation = follow(PAGE)
    conversation.ids[1042] = lead.pk
    assert conversation.hold(PAGE) == 1


def test_duckdb_is_filled_once_and_then_kept_in_step(environment, tmp_path):
    agent = UserFactory(name="Ravi Kumar")
    leads = LeadFactory.create_batch(5, source="website", owner=agent)
    CallFactory.create_batch(3, lead=leads[0], agent=agent)
    convert_leads(leads=Lead.objects.filter(pk=leads[0].pk))
    code = {"load.py": PAGE.block("python", under="DuckDB")}
    first = run("python", tmp_path, code, environment=environment)
    assert first.splitlines() == [
        "leads: 5 new or changed, 0 gone",
        "customers: 1 new or changed, 0 gone",
        "calls: 3 new or changed, 0 gone",
        "users: 1 new or changed, 0 gone",
    ]
    Lead.objects.filter(pk=leads[1].pk).update(source="import")
    leads[2].delete()
    Call.objects.first().delete()
    LeadFactory(source="", owner=agent, tags=[Tag.objects.create(name="hot")])
    run("python", tmp_path, code, environment=environment)
    with duckdb.connect(environment["DUCKDB"]) as db:
        found = db.execute("SELECT id, source, status.name, tags FROM leads ORDER BY id").fetchall()
        assert found == [
            (lead.pk, lead.source, lead.status.name, [tag.name for tag in lead.tags.all()])
            for lead in Lead.objects.order_by("pk")
        ]
        by_agent, by_source = (block.text for block in PAGE.blocks("sql"))
        assert db.execute(by_agent).fetchall() == [
            ("Ravi Kumar", 2, round(100 * sum(call.connected for call in Call.objects.all()) / 2),
             sum(call.duration_seconds for call in Call.objects.all()) // 60)
        ]  # fmt: skip
        assert sorted(db.execute(by_source).fetchall()) == [
            ("", 1, 0, 0.0), ("import", 1, 0, 0.0), ("website", 3, 1, 33.3)
        ]  # fmt: skip
    columns = dict(re.findall(r'^    "(\w+)": "(.*)', PAGE.block("python", under="DuckDB"), re.MULTILINE))
    assert tuple(columns) == LISTS


class BreaksOff(BaseHTTPRequestHandler):
    """Announces a stream, and hangs up in the midst of its first line."""

    def do_GET(self) -> None:
        self.wfile.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"id": 1, "pho')

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_a_table_of_duckdb_is_as_it_was_where_the_download_breaks(environment, tmp_path):
    LeadFactory()
    code = {"load.py": PAGE.block("python", under="DuckDB")}
    run("python", tmp_path, code, environment=environment)
    with HTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            broken = environment | {"CALLIYO": f"http://127.0.0.1:{server.server_port}"}
            with pytest.raises(AssertionError, match="ChunkedEncodingError"):
                run("python", tmp_path, code, environment=broken)
        finally:
            server.shutdown()
            thread.join()
    with duckdb.connect(environment["DUCKDB"]) as db:
        assert db.execute("SELECT count(*) FROM leads").fetchall() == [(1,)]
        assert db.execute("SELECT count(*) FROM place WHERE list = 'leads'").fetchall() == [(2,)]


def test_pandas(environment, tmp_path):
    LeadFactory.create_batch(2, source="website", first_name="None")
    LeadFactory(source="import")
    see = '\nassert leads["phone"].str.startswith("+").all()\nprint(leads.dtypes["created_at"])\n'
    files = {"frame.py": PAGE.block("python", under="pandas") + see}
    told = run("python", tmp_path, files, environment=environment)
    assert re.search(r"^import +1\nwebsite +2$", told, re.MULTILINE)
    assert "datetime64" in told


GOOGLE = """
const { execFileSync } = require("node:child_process");
const asked = (url, options) => `fetch(${JSON.stringify(url)}, ${JSON.stringify(options)})
  .then((answer) => answer.text()).then((text) => process.stdout.write(text))`;
const UrlFetchApp = { fetch: (url, options) => ({
  getContentText: () => execFileSync(process.execPath, ["-e", asked(url, options)], { encoding: "utf8" }),
}) };
const PropertiesService = { getScriptProperties: () => ({ getProperty: (name) => process.env[name] }) };
const Utilities = { parseCsv: (text) => text.trim().split("\\r\\n").map((line) => line.split(",")) };
const sheet = { clearContents() {}, getRange: (...place) => ({ setValues(rows) {
  console.log(JSON.stringify({ place, rows }));
} }) };
const SpreadsheetApp = { getActiveSpreadsheet: () => ({ getSheetByName: () => sheet }) };
"""


@pytest.mark.language("node")
def test_the_script_of_the_sheet(environment, tmp_path):
    """Google's own services are stood in for; the request, and what becomes of its answer, is the page's."""
    LeadFactory.create_batch(2, source="website")
    code = PAGE.block("js").replace("https://crm.example.com", environment["CALLIYO"])
    told = json.loads(
        run("node", tmp_path, {"sheet.js": GOOGLE + code + "refresh();\n"}, environment=environment)
    )
    assert told["place"] == [1, 1, 3, 6]
    assert told["rows"][0] == ["id", "status.id", "status.name", "source", "created_at", "converted_at"]
    assert {row[3] for row in told["rows"][1:]} == {"website"}


def test_what_power_bi_asks(environment):
    LeadFactory()
    block = PAGE.block("powerquery")
    path, fields = re.findall(r'(?:RelativePath|\[fields) = "(.+?)"', block)
    headers = {"Authorization": f"Bearer {environment['TOKEN']}", "Accept": "text/csv"}
    assert all(f"{name} = " in block for name in headers)
    answer = requests.get(f"{environment['CALLIYO']}/{path}", {"fields": fields}, headers=headers, timeout=10)
    assert answer.status_code == 200 and answer.text.startswith("id,status.id,status.name,source")
    in_address = f"{environment['CALLIYO']}/{path}?token={environment['TOKEN']}"
    assert requests.get(in_address, timeout=10).status_code == 401


def test_a_month_of_calls_may_be_asked_for_by_its_times(follow):
    now = timezone.now()
    CallFactory(started_at=now - timedelta(days=40), ended_at=now - timedelta(days=40))
    client, _ = follow(PAGE)
    assert client.get("/public/calls?started_after=2026-01-01", Accept="text/csv").status_code == 200
