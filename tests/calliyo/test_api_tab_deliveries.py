"""Configure → Webhooks → Deliveries: what happened to each event, and again what did not arrive."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys.models import APIKey
from apikeys.operations import deactivate_key, set_scopes
from leads.models import Role, User
from tests.calliyo.conftest import TAB, text_of
from tests.deliveries import busy_day, new_attempt, new_delivery
from tests.leads.factories import LeadFactory
from webhooks import resending
from webhooks.catalogue import EventType
from webhooks.models import Attempt, Delivery, EndpointState, Event, Health, ResendOrder, Webhook
from webhooks.operations import subscribe

URL = "https://flow.zoho.example/calliyo"
ALL = [event.value for event in EventType]
MOST_QUERIES = 16


@pytest.fixture
def webhook(key_with) -> Webhook:
    key = key_with("leads:read", "calls:read", "notes:read", "follow-ups:read")
    return subscribe(api_key=key, url=URL, events=ALL)


def log(webhook, more=""):
    return f"{TAB}&key={webhook.api_key_id}&panel=webhooks&webhook={webhook.pk}&do=deliveries{more}"


def rows(page: str) -> list[str]:
    """The rows of the list, as text."""
    body = page[page.index('<tbody role="rowgroup">', page.index('id="delivery-list"')) :]
    body = body[: body.index("</tbody>")]
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", f"<tr{row}")).strip() for row in body.split("<tr")[1:]
    ]


def live(desk, webhook, mark=""):
    return desk.client.get(f"/settings/api/webhooks/{webhook.pk}/deliveries?mark={mark}")


def mark_of(page: str) -> str:
    return re.search(r"mark=([0-9a-f]{16})", page)[1]


def test_each_outcome_is_told_in_words(desk, webhook):
    busy_day(webhook)
    found = rows(desk.see(log(webhook)))
    assert len(found) == 12
    assert re.search(r"lead\.status_changed lead 1041 Delivered 200 1 84 ms —$", found[0])
    assert re.search(r"lead\.updated lead 1039 Waiting — 0 — in 2 min$", found[1])
    assert re.search(r"Trying again The endpoint answered 503\. 503 1 1\.2 s in 4\d s$", found[2])
    assert re.search(r"Failed The endpoint answered 500\. 500 3 84 ms —$", found[3])
    assert "Withheld The key had lost the scope that this event needs." in found[4]
    assert "Missed The webhook was off." in found[5]


def test_an_empty_list_says_what_will_stand_there(desk, webhook):
    page = desk.see(log(webhook))
    assert "Nothing was sent yet" in page
    assert "Resend what failed" not in page
    assert "No attempts in the last 24 hours." in page


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("&outcome=failed", 1),
        ("&event=lead.updated", 7),
        ("&event=lead.updated&outcome=waiting", 1),
        ("&lead=1039", 2),
        ("&lead=1039&outcome=waiting&event=lead.updated", 1),
        ("&outcome=no-such&event=nor.such", 12),
    ],
)
def test_filters_find_what_they_say(desk, webhook, query, number):
    busy_day(webhook)
    assert len(rows(desk.see(log(webhook, query)))) == number


def test_a_lead_is_found_by_its_phone_number(desk, webhook):
    lead = LeadFactory.create(phone="+919876543210")
    Delivery.objects.all().delete()
    new_delivery(webhook, lead_id=lead.pk)
    new_delivery(webhook, lead_id=lead.pk + 1)
    for spelling in ("98765 43210", "%2B919876543210", "98765"):
        assert len(rows(desk.see(log(webhook, f"&lead={spelling}")))) == 1


@pytest.mark.parametrize(
    "query",
    [
        "&lead=%00&before=x",
        "&lead=" + "9" * 500,
        "&before=" + "9" * 40,
        "&before=-1",
        "&lead=<script>alert(1)</script>&outcome=<b>",
        "&delivery=no",
        "&delivery=" + "9" * 60,
        "&do=resend&since=x",
        "&do=resend&since=date&since_at=yesterday",
        "&do=resend&since=date&since_at=0001-01-01T00:00",
        "&do=resend&since=date&since_at=9999-12-31T23:59",
    ],
)
def test_no_address_breaks_the_page(desk, webhook, query):
    new_delivery(webhook)
    response = desk.client.get(log(webhook, query), follow=True)
    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


def test_nothing_found_names_what_was_sought(desk, webhook):
    new_delivery(webhook)
    page = desk.see(log(webhook, "&outcome=failed&event=note.added&lead=77"))
    assert "No delivery of this webhook is: failed, note.added, lead 77." in page
    assert "Show all deliveries" in page


def test_pages_follow_each_other_by_the_last_row_and_keep_the_filters(desk, webhook):
    made = [new_delivery(webhook, event=EventType.NOTE_ADDED).pk for _ in range(60)]
    page = desk.see(log(webhook, "&event=note.added"))
    assert len(rows(page)) == 50
    older = re.search(r'rel="next" href="([^"]+)"', page)[1]
    assert older.endswith(f"&event=note.added&before={made[10]}")
    page = desk.see(older)
    assert len(rows(page)) == 10
    assert 'rel="next"' not in page
    assert ">Newest<" in page


def test_the_list_costs_as_many_queries_with_many_rows_and_many_webhooks(desk, webhook):
    busy_day(webhook)
    counts = []
    for _ in range(2):
        desk.see(log(webhook))
        with CaptureQueriesContext(connection) as queries:
            desk.see(log(webhook))
        counts.append(len(queries))
        for number in range(120):
            new_attempt(new_delivery(webhook, state="failed", lead_id=number))
            if number < 3:
                subscribe(api_key=webhook.api_key, url=f"{URL}/{number}", events=ALL)
    assert counts[0] == counts[1] <= MOST_QUERIES


def test_the_panel_costs_as_many_queries_with_many_webhooks(desk, webhook):
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            page = desk.see(f"{TAB}&key={webhook.api_key_id}&panel=webhooks")
        counts.append(len(queries))
        for number in range(12):
            busy_day(subscribe(api_key=webhook.api_key, url=f"{URL}/{number}", events=ALL))
    assert page.count('<svg class="plot"') == 12
    assert counts[0] == counts[1] <= MOST_QUERIES


def test_the_day_is_told_in_numbers_in_a_plot_and_in_a_table(desk, webhook):
    busy_day(webhook)
    page = desk.see(log(webhook))
    tiles = re.findall(
        r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page[page.index('class="tiles"') :].split("</dl>")[0]
    )
    assert tiles[:3] == [("delivered", "904"), ("failed attempts", "9"), ("waiting", "2")]
    assert [word for word, _ in tiles[3:]] == ["median", "p95"]
    assert all(re.fullmatch(r"\d+ ms", number) for _, number in tiles[3:])
    assert "Last 24 hours: 904 delivered and 9 failed attempts; most of them, 78, at" in page
    assert page.count('<rect class="delivered"') == 24
    assert "The same as a table" in page
    assert "1 delivery was given up." in page


def test_a_delivery_opens_with_its_request_and_each_answer(desk, webhook):
    failed = busy_day(webhook)["failed"]
    page = desk.see(log(webhook, f"&outcome=failed&delivery={failed.pk}"))
    assert (
        "POST /calliyo HTTP/1.1\nContent-Length: 712\nContent-Type: application/json\nHost: flow.zoho.example"
        in page
    )
    assert "X-Calliyo-Signature: t=1764039125,v1=5f0c" in page
    assert '\n  "type": "lead.created",' in page
    assert f'"id":"{failed.event.public_id}","type":"lead.created"' in page
    assert (
        "HTTP/1.1 500 Internal Server Error\nContent-Type: application/json\nServer: ZGS\n\n<h1>Oops</h1>"
        in page
    )
    assert page.index("Attempt 3") < page.index("Attempt 2") < page.index("Attempt 1")
    assert page.count("No answer within 15 s.") == 2
    for step in ("DNS", "Connect", "TLS", "First byte", "Total"):
        assert f"<dt>{step}</dt>" in page
    assert f"{log(webhook)}&outcome=failed" in page  # the way back


def test_many_attempts_come_page_by_page(desk, webhook):
    delivery = new_delivery(webhook, state="waiting")
    for number in range(25):
        new_attempt(delivery, 1, probe=True, total_ms=number)
    page = desk.see(log(webhook, f"&delivery={delivery.pk}"))
    assert page.count('<details class="attempt"') == 20
    earlier = re.search(r'href="([^"]+until=\d+)"', page)[1]
    assert desk.see(earlier).count('<details class="attempt"') == 5


def test_a_delivery_that_was_not_sent_yet_says_so(desk, webhook):
    page = desk.see(log(webhook, f"&delivery={new_delivery(webhook, state='waiting').pk}"))
    assert "Not sent yet: this is the event as it was recorded." in page
    assert "None yet." in page


def test_what_is_no_longer_kept_can_be_read_of_but_not_sent_again(desk, webhook):
    delivery = new_delivery(webhook)
    Event.objects.all().delete()
    assert re.search(r'value="\d+" aria-label="[^"]+" disabled', desk.see(log(webhook)))
    page = desk.see(log(webhook, f"&delivery={delivery.pk}"))
    assert "Its body is no longer kept." in page
    assert ">Resend<" not in page
    desk.send(f"webhooks/{webhook.pk}/resend", delivery=delivery.pk)
    assert "is no longer kept." in desk.see(log(webhook))
    assert Delivery.objects.count() == 1


def test_a_delivery_of_another_webhook_is_not_opened_here(desk, webhook):
    other = subscribe(api_key=webhook.api_key, url="https://other.example/", events=ALL)
    delivery = new_delivery(other)
    response = desk.client.get(log(webhook, f"&delivery={delivery.pk}"))
    assert response.status_code == 302
    desk.send(f"webhooks/{webhook.pk}/resend", delivery=delivery.pk)
    assert Delivery.objects.count() == 1


def test_chosen_deliveries_are_sent_again_once(desk, webhook):
    chosen = [new_delivery(webhook, state="failed").pk for _ in range(3)]
    for expected in ("3 deliveries are queued.", "Nothing was queued: it is on its way already."):
        response = desk.send(f"webhooks/{webhook.pk}/resend", delivery=chosen, list="outcome=failed&before=7")
        assert response["Location"] == log(webhook, "&outcome=failed")
        assert expected in desk.see(response["Location"])
    assert Delivery.objects.filter(cause="replay", state="waiting").count() == 3
    assert "sent again" in desk.see(log(webhook))


@pytest.mark.parametrize("chosen", [[], ["x"], ["-1"], ["9" * 30]])
def test_choosing_nothing_sends_nothing_and_says_so(desk, webhook, chosen):
    new_delivery(webhook, state="failed")
    response = desk.send(f"webhooks/{webhook.pk}/resend", delivery=chosen)
    assert "select at least one delivery" in desk.see(response["Location"])
    assert Delivery.objects.count() == 1


def test_an_event_whose_scope_is_gone_is_not_sent_again(desk, webhook):
    chosen = new_delivery(webhook, state="failed", event=EventType.NOTE_ADDED).pk
    set_scopes(key=APIKey.objects.get(), scopes=["leads:read"])
    response = desk.send(f"webhooks/{webhook.pk}/resend", delivery=chosen)
    assert "note.added needs the scope notes:read" in desk.see(response["Location"])
    assert Delivery.objects.count() == 1


def test_what_failed_since_is_counted_first_and_then_sent_as_counted(desk, webhook):
    for hours in (0.2, 2, 100):
        new_delivery(webhook, state="failed", ago=timedelta(hours=hours))
    question = log(webhook).replace("do=deliveries", "do=resend")
    assert "in the last 24 hours" in desk.see(question)
    page = desk.see(f"{question}&since=24h")
    assert "<b>2 events</b> failed and did not arrive later." in page
    assert "Resend 2 events" in page
    fields = dict(re.findall(r'name="(since|up_to)" value="([^"]+)"', page[page.index("resend-failed") :]))
    new_delivery(webhook, state="failed")  # not counted, so not sent
    response = desk.send(f"webhooks/{webhook.pk}/resend-failed", **fields)
    assert "2 deliveries are queued." in desk.see(response["Location"])
    assert Delivery.objects.filter(cause="replay").count() == 2


def test_since_a_date_is_by_the_readers_clock(desk, webhook):
    now = timezone.now()
    new_delivery(webhook, state="failed", ago=timedelta(hours=3))
    question = f"{log(webhook)}&since=date".replace("do=deliveries", "do=resend")
    desk.client.cookies["calliyo_zone"] = "America/New_York"
    page = desk.see(question)
    assert "Choose the time since which it failed." in page
    two_hours_ago = now - timedelta(hours=2)
    for zone, number in (("UTC", 0), ("Nowhere/Town", None), ("Asia/Tokyo", 1)):
        # In Tokyo, the same words on the clock are nine hours earlier.
        desk.client.cookies["calliyo_zone"] = zone
        page = desk.see(f"{question}&since_at={two_hours_ago:%Y-%m-%dT%H:%M}")
        if number is not None:
            assert ("<b>1 event</b> failed" in page) is bool(number)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"since": "x"},
        {"since": "2026-11-25T00:00:00+00:00", "up_to": "x"},
        {"since": "2026-11-25T00:00:00+00:00", "up_to": "9" * 40},
        {"since": "0001-01-01T00:00:00+14:00", "up_to": "1"},
    ],
)
def test_a_broken_order_sends_nothing(desk, webhook, fields):
    new_delivery(webhook, state="failed", ago=timedelta(hours=1))
    desk.send(f"webhooks/{webhook.pk}/resend-failed", **fields)
    assert Delivery.objects.count() == 1


def test_an_order_under_way_is_told_and_ends_by_itself(desk, webhook, monkeypatch):
    monkeypatch.setattr(resending, "AT_ONCE", 1)
    monkeypatch.setattr(resending, "LONGEST_AT_ONCE", 0.0)
    for _ in range(3):
        new_delivery(webhook, state="failed")
    newest = Delivery.objects.order_by("-pk").first().pk
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    desk.send(f"webhooks/{webhook.pk}/resend-failed", since=since, up_to=newest)
    page = desk.see(log(webhook))
    assert "Events are being sent again: 0 of 3 are queued." in page
    response = desk.send(f"webhooks/{webhook.pk}/resend-failed", since=since, up_to=newest)
    assert "being sent again already" in desk.see(response["Location"])
    assert ResendOrder.objects.count() == 1
    resending.carry_on()
    assert "is being sent again" not in desk.see(log(webhook))
    assert Delivery.objects.filter(cause="replay").count() == 3


def test_the_live_part_answers_only_where_something_changed(desk, webhook):
    first = new_delivery(webhook, state="waiting", next_in=timedelta(hours=5))
    mark = mark_of(desk.see(log(webhook)))
    assert live(desk, webhook, mark).status_code == 204
    new_delivery(webhook)
    page = text_of(live(desk, webhook, mark))
    assert len(rows(page)) == 2
    assert "<html" not in page
    mark = mark_of(page)
    Delivery.objects.filter(pk=first.pk).update(
        state="delivered", finished_at=timezone.now(), next_attempt_at=None
    )
    assert rows(text_of(live(desk, webhook, mark)))[1].endswith("Delivered — 0 — —")


def test_the_live_part_is_cheap_to_ask_for(desk, webhook):
    busy_day(webhook)
    with CaptureQueriesContext(connection) as queries:
        live(desk, webhook)
    assert len(queries) <= 7  # session, user, company, webhook, ids, rows, order


@pytest.mark.parametrize("path", ["deliveries", "resend", "resend-failed"])
def test_only_company_admins_see_and_send(client, webhook, path):
    new_delivery(webhook, state="failed")
    target = f"/settings/api/webhooks/{webhook.pk}/{path}"
    assert client.get(target)["Location"].startswith("/admin/login/")
    agent = User.objects.create_user("ravi", "ravi@example.com", "a word", role=Role.AGENT)
    client.force_login(agent)
    assert client.get(target).status_code == 403
    assert client.post(target, {"delivery": Delivery.objects.get().pk}).status_code == 403
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda webhook: deactivate_key(key=webhook.api_key), "when the key is active again"),
        (
            lambda webhook: EndpointState.objects.filter(webhook=webhook).update(health=Health.DOWN),
            "when the receiver answers again",
        ),
        (
            lambda webhook: EndpointState.objects.filter(webhook=webhook).update(
                held_until=timezone.now() + timedelta(hours=3)
            ),
            "in 3 h",
        ),
    ],
)
def test_the_next_attempt_says_what_it_waits_for(desk, webhook, change, words):
    new_delivery(webhook, state="waiting")
    change(webhook)
    assert rows(desk.see(log(webhook)))[0].endswith(words)


def test_times_are_by_the_readers_clock_with_the_exact_one_on_hover(desk, webhook):
    delivery = new_delivery(webhook, ago=timedelta(days=2))
    moment = timezone.now().replace(month=1, day=15, hour=20, minute=4, second=5)
    Delivery.objects.filter(pk=delivery.pk).update(created_at=moment)
    desk.client.cookies["calliyo_zone"] = "Asia/Kolkata"
    page = desk.see(log(webhook))
    assert f'title="16 Jan {moment.year}, 01:34:05 IST">16 Jan, 01:34<' in page
    assert Attempt.objects.count() == 0
