"""What a key did: in its row, in the drawer's head, beside its scopes, and in the Usage panel."""

import re
from datetime import date, timedelta

import pytest
from django.utils import timezone

from apikeys.models import APIKey, CallResult, KeyUsage, RecentCalls, RefusedCall
from apikeys.operations import set_scopes
from apikeys.usage import Calls, DayOfUsage, quarter_of
from calliyo.pages.api_tab.sparkline import path
from calliyo.pages.api_tab.usage_plot import FOOT, TOP, usage_plot
from leads.operations.company import company_zone
from tests.calliyo.conftest import TAB
from webhooks.operations import subscribe


def today():
    return timezone.now().astimezone(company_zone()).date()


def used(key, resource="leads", access="read", *, days_ago=0, calls=1, result=CallResult.OK):
    KeyUsage.objects.create(
        api_key_id=key.pk,
        day=today() - timedelta(days=days_ago),
        resource=resource,
        access=access,
        result=result,
        calls=calls,
    )


@pytest.fixture
def old_key(key_with):
    """A key that has had its scopes for long."""

    def make(*scopes, **options):
        key = key_with(*scopes, **options)
        APIKey.objects.filter(pk=key.pk).update(created_at=timezone.now() - timedelta(days=90))
        return key

    return make


def beside(desk, key):
    """What stands beside the ticked scopes, by resource."""
    page = desk.see(f"{TAB}&key={key.pk}")
    cells = re.findall(r'<th scope="row">([^<]+)<div class="sub use">(.*?)</div>', page)
    return {title: re.sub(r"<[^>]+>", " ", told).split() for title, told in cells} | {"page": page}


def words(desk, key, title):
    return " ".join(beside(desk, key)[title])


def test_the_row_and_the_head_tell_the_requests_of_24_hours(desk, key_with):
    key, idle = key_with("leads:read"), key_with(name="Idle")
    now = quarter_of(timezone.now())
    for ago, calls in ((0, 4000), (40, 812), (97, 7)):
        RecentCalls.objects.create(api_key_id=key.pk, quarter=now - ago, calls=calls)
    page = desk.see()
    assert re.findall(r'<div class="sub">([\d,]+ requests?)</div>', page) == ["0 requests", "4,812 requests"]
    assert re.findall(r'<path d="([^"]+)"', page)[0] == "M0 26H120"
    drawer = desk.see(f"{TAB}&key={key.pk}")
    assert re.search(rf'href="[^"]*&key={key.pk}&panel=usage"[^>]*>4,812 requests in 24 h</a>', drawer)
    assert "0 requests in 24 h" in desk.see(f"{TAB}&key={idle.pk}")


def test_a_sparkline_is_flat_for_nothing_and_reaches_the_top_for_the_most():
    assert path([0] * 24) == path([]) == "M0 26H120"
    line = path([0, 5, 10])
    assert line == "M0 26L60 14.5L120 3"


def test_each_ticked_scope_says_when_it_was_last_used(desk, old_key):
    key = old_key("leads:read", "leads:write", "tags:read", "calls:read")
    used(key, "leads", "read")
    used(key, "leads", "write", days_ago=1)
    used(key, "tags", "read", days_ago=45)
    assert words(desk, key, "Leads") == "Read: today Write: yesterday"
    assert re.fullmatch(r"not since \d+ \w+( \d+)? — untick\?", words(desk, key, "Tags"))
    assert words(desk, key, "Call history") == "never used — untick?"
    page = beside(desk, key)["page"]
    assert '<label class="link" for="scope-calls:read">' in page
    assert '<input type="checkbox" id="scope-calls:read"' in page
    assert "Customers<div" not in page


def test_calls_that_were_refused_are_no_use(desk, old_key):
    key = old_key("calls:read")
    used(key, "calls", "read", result=CallResult.REFUSED)
    assert words(desk, key, "Call history") == "never used — untick?"


def test_a_scope_that_is_new_is_only_not_used_yet(desk, key_with, old_key):
    assert words(desk, key_with("tags:read"), "Tags") == "not used yet"
    key = old_key("leads:read", "calls:read", name="Old")
    set_scopes(key=key, scopes=["leads:read", "calls:read", "tags:read"])
    assert words(desk, key, "Tags") == "not used yet"
    assert words(desk, key, "Call history") == "never used — untick?"


def test_what_a_webhook_needs_or_a_list_of_leads_shows_is_not_idle(desk, old_key):
    key = old_key("leads:read", "users:read", "campaigns:read", "notes:read", "tags:read")
    subscribe(api_key=key, url="https://crm.example/", events=["note.added"])
    used(key, "leads", "read", days_ago=2)
    assert words(desk, key, "Notes") == "for its webhooks"
    assert words(desk, key, "Users / Agents") == words(desk, key, "Campaigns") == "no call of its own"
    assert words(desk, key, "Tags") == "never used — untick?"
    used(key, "events", "read")
    assert words(desk, key, "Tags") == "no call of its own"


def test_the_usage_panel_plots_thirty_days_by_result(desk, key_with):
    key = key_with("leads:read")
    used(key, calls=400)
    used(key, days_ago=3, calls=80)
    used(key, days_ago=3, calls=15, result=CallResult.INVALID)
    used(key, days_ago=3, calls=4, result=CallResult.REFUSED)
    used(key, days_ago=3, calls=1, result=CallResult.FAILED)
    used(key, days_ago=31, calls=9999)
    page = desk.see(f"{TAB}&key={key.pk}&panel=usage")
    summary = "Last 30 days: 500 requests: 480 answered, 15 with a mistake in them, 4 refused, 1 failed."
    assert f'role="img" aria-label="{summary} Most of them, 400, on ' in page
    parts = re.findall(r'<rect class="(ok|invalid|refused|failed)"', page)
    assert parts == ["ok", "invalid", "refused", "failed", "ok"]
    assert re.findall(r'<text class="y"[^>]*>([^<]+)</text>', page) == ["0", "250", "500"]
    assert len(re.findall(r'<text class="x"', page)) == 5
    table = page[page.index('class="as-table"') :]
    assert re.findall(r'<td class="num">([\d,]+)</td>', table)[:8] == [
        "400",
        "0",
        "0",
        "0",
        "80",
        "15",
        "4",
        "1",
    ]


def day_with(calls):
    return DayOfUsage(day=date(2026, 11, 25), calls=calls)


def test_the_bars_stand_upon_each_other_and_never_leave_the_plot():
    plot = usage_plot(
        [day_with(Calls(ok=5, invalid=3, refused=1, failed=1)), day_with(Calls(ok=100_000, failed=1))]
    )
    for bar in plot.bars:
        foot = FOOT
        for part in bar.parts:
            assert part.box.y + part.box.height == pytest.approx(foot, abs=0.02)
            foot = part.box.y
            assert part.box.height >= 1.5
        assert foot >= TOP - 4.5  # a failure among thousands is drawn a little larger than it is
    assert usage_plot([day_with(Calls())]) is None


def test_the_most_called_endpoints_come_first(desk, key_with):
    key = key_with("leads:read")
    used(key, "tags", "read", calls=3)
    used(key, "leads", "read", calls=1200)
    used(key, "leads", "write", calls=34, result=CallResult.INVALID)
    page = desk.see(f"{TAB}&key={key.pk}&panel=usage")
    table = page[page.index('class="endpoints"') :]
    rows = re.findall(r"<code>/public<wbr>(/\w+)</code>.*?</tr>", table)
    assert rows == ["/leads", "/tags"]
    numbers = re.findall(r'<td class="num">([\d,]+)</td>', table)
    assert numbers == ["1,200", "34", "34", "3", "0", "0"]


def test_the_last_fifty_calls_that_were_not_served_say_why(desk, key_with):
    key = key_with("leads:read")
    for number in range(60):
        RefusedCall.objects.create(
            api_key_id=key.pk,
            at=timezone.now() - timedelta(minutes=number),
            method="GET",
            path=f"/public/calls/{number}<b>",
            status=403,
            code="insufficient_scope",
            address="203.0.113.7",
            request_id=f"req_{number}",
        )
    page = desk.see(f"{TAB}&key={key.pk}&panel=usage")
    assert page.count("The API key lacks a scope") == 50
    assert "GET /public/calls/0<b>" in page and "req_49<" in page and "req_50<" not in page
    assert "&lt;b&gt;" in desk.client.get(f"{TAB}&key={key.pk}&panel=usage").content.decode()


def test_a_key_that_was_never_used_says_so_without_a_plot(desk, key_with):
    page = desk.see(f"{TAB}&key={key_with().pk}&panel=usage")
    assert "No request came in this time." in page
    assert "None: every request was served." in page
    assert 'class="plot"' not in page


def test_the_usage_panel_costs_the_same_queries_whatever_was_called(
    desk, key_with, django_assert_max_num_queries
):
    key = key_with("leads:read")
    for day in range(30):
        for resource in ("leads", "tags", "calls"):
            used(key, resource, days_ago=day)
    with django_assert_max_num_queries(14):
        desk.see(f"{TAB}&key={key.pk}&panel=usage")
