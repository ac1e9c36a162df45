"""`/metrics` and `delivery_status`: the numbers are right, cheap to ask for, and guarded."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from apikeys.operations import deactivate_key
from calliyo import counters
from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks import backlog
from webhooks.delivery.failures import FailureCode
from webhooks.delivery.sequence import give_positions, number_deliveries
from webhooks.models import Attempt, Delivery, EndpointState, Webhook
from webhooks.operations import turn_off
from webhooks.tallies import ATTEMPTS, DELIVERY, LEASES, REQUEST, Tallies, tallies
from webhooks.tasks import clean_up

pytestmark = pytest.mark.django_db

TOKEN = "a token of the one who looks"


@pytest.fixture
def webhooks() -> list[Webhook]:
    """One with two deliveries that wait, one that is down, one that is off, of a key that is deactivated."""
    first = new_webhook("https://first.example.com/secret-path")
    for number in range(4):
        new_lead(number)
    give_positions()
    number_deliveries([first.pk])
    now = timezone.now()
    Delivery.objects.filter(sequence=1).update(state="delivered", finished_at=now, next_attempt_at=None)
    Delivery.objects.filter(sequence=2).update(created_at=now - timedelta(seconds=90))
    Delivery.objects.filter(sequence=4).update(state="failed", finished_at=now, next_attempt_at=None)
    [delivered] = Delivery.objects.filter(sequence=1)
    [failed] = Delivery.objects.filter(sequence=4)
    common = {"number": 1, "started_at": now}
    Attempt.objects.create(delivery=delivered, total_ms=20, **common)
    Attempt.objects.create(delivery=failed, total_ms=40, error_code="status", **common)
    Attempt.objects.create(
        delivery=failed, number=2, total_ms=4, error_code="status", started_at=now - timedelta(minutes=5)
    )
    down = new_webhook("https://down.example.com/", key=new_key("Down"))
    EndpointState.objects.filter(webhook=down).update(health="down", failures_in_a_row=5, lease_number=3)
    off = new_webhook("https://off.example.com/", key=new_key("Off"))
    new_lead(9)
    Delivery.objects.filter(webhook_id__in=[first.pk, down.pk], lead_id__gt=delivered.lead_id + 3).delete()
    turn_off(webhook=off)
    deactivate_key(key=off.api_key)
    return [first, down, off]


def status() -> dict[str, Any]:
    out = StringIO()
    call_command("delivery_status", "--json", stdout=out)
    return json.loads(out.getvalue())


def test_delivery_status_tells_backlog_age_rate_and_each_endpoints_health(webhooks):
    told = status()
    assert 90 <= told.pop("oldest_waiting_seconds") < 120
    lines = told.pop("webhooks")
    assert told == {
        "backlog": 2,
        "rate": {
            "delivered_per_second": 1 / 60,
            "failed_per_second": 1 / 60,
            "median_ms": 40.0,
            "p95_ms": 40.0,
        },
        "deliveries": {
            "delivered": 1, "waiting": 2, "failed": 1, "missed": 1, "withheld": 0, "cancelled": 0,
        },
        "endpoints": {"healthy": 1, "slowed": 0, "down": 1, "off": 1},
    }  # fmt: skip
    assert [(line["host"], line["health"], line["waiting"]) for line in lines] == [
        ("first.example.com", "healthy", 2),
        ("down.example.com", "down", 0),
        ("off.example.com", "off", 0),
    ]
    assert (lines[1]["failures_in_a_row"], lines[1]["key_active"]) == (5, True)
    assert (lines[2]["off_reason"], lines[2]["key_active"]) == ("by_hand", False)


def test_delivery_status_for_people_shows_no_path_of_a_url(webhooks):
    out = StringIO()
    call_command("delivery_status", stdout=out)
    told = out.getvalue()
    assert told.startswith("2 deliveries wait, the oldest for 9")
    assert "off.example.com: off (by_hand), its key is not active, 0 wait" in told
    assert "secret-path" not in told and "Endpoints: 1 healthy, 0 slowed, 1 down, 1 off." in told


def test_delivery_status_of_an_empty_system():
    told = status()
    assert (told["backlog"], told["oldest_waiting_seconds"], told["webhooks"]) == (0, 0, [])
    out = StringIO()
    call_command("delivery_status", stdout=out)
    assert "Last minute: no attempts." in out.getvalue()


def scrape(**headers: str) -> Any:
    return Client().get("/metrics", headers=headers)


def samples(answer: Any) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_metrics_are_the_databases_numbers(webhooks, settings):
    settings.CALLIYO_METRICS_TOKEN = TOKEN
    worker = Tallies()
    worker.count(ATTEMPTS, "delivered", by=3)
    worker.count(ATTEMPTS, "status", by=2)
    worker.count(LEASES, by=7)
    worker.observe(REQUEST, [0.015, 0.025, 15.0, 20.0])
    worker.save()
    answer = scrape(Authorization=f"Bearer {TOKEN}")
    assert (answer.status_code, answer["Cache-Control"][:11]) == (200, "max-age=0, ")
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer)
    assert 90 <= found.pop("calliyo_oldest_delivery_waiting_seconds{active}") < 120
    assert found == {
        "calliyo_oldest_delivery_waiting_seconds{inactive}": 0,
        "calliyo_deliveries_waiting": 2,
        "calliyo_deliveries{delivered}": 1,
        "calliyo_deliveries{waiting}": 2,
        "calliyo_deliveries{failed}": 1,
        "calliyo_deliveries{missed}": 1,
        "calliyo_deliveries{withheld}": 0,
        "calliyo_deliveries{cancelled}": 0,
        "calliyo_endpoints{healthy}": 1,
        "calliyo_endpoints{slowed}": 0,
        "calliyo_endpoints{down}": 1,
        "calliyo_endpoints{off}": 1,
        "calliyo_events_total": 4,
        "calliyo_attempts_total{delivered}": 3,
        **{f"calliyo_attempts_total{{{code}}}": 0 for code in FailureCode},
        "calliyo_attempts_total{status}": 2,
        **{f"calliyo_request_seconds_bucket{{{bound}}}": 0 for bound in ("0.005", "0.01")},
        **{
            f"calliyo_request_seconds_bucket{{{bound}}}": 2
            for bound in ("0.025", "0.05", "0.1", "0.25", "0.5")
        },
        **{f"calliyo_request_seconds_bucket{{{bound:g}}}": 2 for bound in (1, 2.5, 5, 10)},
        "calliyo_request_seconds_bucket{15}": 3,
        "calliyo_request_seconds_bucket{+Inf}": 4,
        "calliyo_request_seconds_count": 4,
        "calliyo_request_seconds_sum": 35.04,
        **{f"calliyo_delivery_seconds_bucket{{{label}}}": 0 for label in DELIVERY.labels},
        "calliyo_delivery_seconds_count": 0,
        "calliyo_delivery_seconds_sum": 0,
        "calliyo_leases_taken_total": 7,
        "calliyo_lease_takeovers_total": 0,
    }


def test_what_several_workers_count_adds_up(webhooks):
    for _ in range(2):
        worker = Tallies()
        worker.count(ATTEMPTS, "delivered", by=2)
        worker.save()
        worker.save()  # nothing is counted twice
    assert tallies()[ATTEMPTS] == {"delivered": 4}


def test_what_cannot_be_saved_now_is_saved_later(webhooks, monkeypatch):
    worker = Tallies()
    worker.count(LEASES)
    with monkeypatch.context() as away:
        away.setattr(counters, "connection", None)
        with pytest.raises(AttributeError):
            worker.save()
    worker.count(LEASES)
    worker.save()
    assert tallies() == {LEASES: {"": 2}}


def test_the_log_tells_of_a_backlog_once_a_minute_and_of_none_nothing(webhooks):
    with capture_logs() as lines:
        clean_up()
    [told] = [line for line in lines if line["event"] == "deliveries.backlog"]
    assert 90 <= told["oldest_waiting_seconds"] < 120
    assert (told["waiting"], told["endpoints"]) == (2, {"healthy": 1, "slowed": 0, "down": 1, "off": 1})
    Webhook.objects.all().delete()
    Delivery.objects.all().delete()
    with capture_logs() as lines:
        clean_up()
    assert lines == []


def test_metrics_are_not_there_without_a_token_that_guards_them(settings):
    settings.CALLIYO_METRICS_TOKEN = ""
    assert scrape(Authorization="Bearer ").status_code == 404


@pytest.mark.parametrize(
    "header", [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ünïcode"]
)
def test_metrics_are_only_for_who_has_the_token(settings, header, django_assert_num_queries):
    settings.CALLIYO_METRICS_TOKEN = TOKEN
    with django_assert_num_queries(0):
        answer = scrape(**({} if header is None else {"Authorization": header}))
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_metrics_can_only_be_read(settings):
    settings.CALLIYO_METRICS_TOKEN = TOKEN
    assert Client().post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_the_number_of_statements_does_not_grow_with_the_webhooks(
    webhooks, settings, django_assert_max_num_queries
):
    settings.CALLIYO_METRICS_TOKEN = TOKEN
    new_webhook("https://more.example.com/", key=new_key("More"))
    with django_assert_max_num_queries(10):
        scrape(Authorization=f"Bearer {TOKEN}")


def test_many_delivered_rows_are_estimated_not_counted(webhooks, monkeypatch):
    monkeypatch.setattr(backlog, "COUNTED", 0)
    monkeypatch.setattr(backlog, "_estimated_rows", lambda: 1_000_000)
    assert backlog.by_state(2)["delivered"] == 1_000_000 - 4


def test_a_rate_that_fills_the_sample_is_that_of_the_samples_time(webhooks, monkeypatch):
    monkeypatch.setattr(backlog, "RECENT_ATTEMPTS", 1)
    assert backlog.recent().failed_per_second + backlog.recent().delivered_per_second <= 1
