"""The demo's API keys and webhooks: something to look at from the first minute, and nothing that is ever sent."""

from collections import Counter
from datetime import timedelta
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db.models import Count, F, Sum
from django.utils import timezone

from apikeys.models import APIKey, AuditEntry, KeyUsage, RecentCalls, RefusedCall
from apikeys.operations import create_api_key, delete_key, rename_key
from calliyo.actor import Actor, ActorType
from calliyo.management.demo import integrations
from calliyo.management.demo.integrations import DASHBOARD, DIALLER, FORM, ZOHO, write_integrations
from calliyo.management.demo.story import phone_of
from calliyo.management.demo.writing import DEFAULT_LEADS
from leads.models import Activity, Lead
from tests.calliyo.conftest import TAB
from webhooks.delivery.target import target_of
from webhooks.models import Attempt, Delivery, DeliveryState, Event, QuarterHour, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo():
    out = StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def test_four_keys_are_made_and_nobody_is_told_a_token(demo):
    assert set(APIKey.objects.values_list("name", flat=True)) == {ZOHO, DASHBOARD, FORM, DIALLER}
    assert "4 api-keys, 2 webhooks" in demo
    assert "cly_live_" not in demo
    assert not APIKey.objects.filter(last_used_at=None).exists()
    assert {entry.actor_name for entry in AuditEntry.objects.all()} == {"Meenal Raghunathan"}


def test_nothing_of_the_demo_is_ever_sent(demo):
    assert all(urlsplit(webhook.url).hostname.endswith(".example") for webhook in Webhook.objects.all())
    assert not Webhook.objects.filter(active=True, api_key__active=True).exists()
    waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
    assert set(waiting.values_list("webhook__api_key__active", flat=True)) == {False}
    before = Delivery.objects.count()
    call_command("seed_demo", "--leads", "260", stdout=StringIO())
    assert Lead.objects.count() == 260
    assert Delivery.objects.count() == before  # new leads wait for none of its webhooks either


def test_the_log_has_each_outcome_and_its_numbers_agree(demo, settings):
    states = Counter(Delivery.objects.values_list("state", flat=True))
    assert set(states) == set(DeliveryState.values) - {"cancelled"}
    assert states["delivered"] > states["failed"] + states["withheld"] + states["missed"] + states["waiting"]
    counted = Delivery.objects.annotate(logged=Count("log"))
    assert not counted.exclude(attempts=F("logged")).exists()
    failed = Delivery.objects.get(state="failed")
    assert failed.attempts == len(settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE)
    assert failed.last_error == "the endpoint answered 422"
    assert Attempt.objects.filter(error_code="timed_out", error="no answer within 15 s").exists()
    now = timezone.now()
    assert not Attempt.objects.filter(started_at__gt=now).exists()
    assert not Delivery.objects.filter(finished_at__gt=now).exists()
    day = Attempt.objects.filter(started_at__gte=now - timedelta(hours=24)).count()
    told = QuarterHour.objects.exclude(outcome="gave_up").aggregate(all=Sum("attempts"))["all"]
    assert told == pytest.approx(day, abs=2)  # some may have become a day old meanwhile


def test_its_requests_are_signed_with_the_webhooks_secret(demo):
    attempt = Attempt.objects.filter(delivery__state="delivered").select_related("delivery__event").first()
    delivery = attempt.delivery
    webhook = Webhook.objects.select_related("api_key").get(pk=delivery.webhook_id)
    sent = attempt.request_headers
    body = (delivery.body or delivery.event.payload).encode()
    signed = target_of(webhook, attempt.started_at).request_headers(
        event_type=delivery.type,
        message_id=delivery.event.public_id,
        delivery=str(delivery.pk),
        sequence=delivery.sequence,
        body=body,
    )
    assert sent == {"Host": "zoho.hooks.example", "Content-Length": str(len(body)), **sent}
    assert signed["X-Calliyo-Signature"] == sent["X-Calliyo-Signature"]
    assert "users:read" not in webhook.api_key.scopes
    assert '"type":"user","id"' in body.decode() and '"name":null' in body.decode()


def test_what_its_events_say_has_happened(demo):
    for event in Event.objects.filter(type="lead.status_changed"):
        lead = Lead.objects.get(pk=event.lead_id)
        assert lead.phone in event.payload
        assert Activity.objects.filter(lead=lead, kind="status_changed", at=event.created_at).exists()


def test_a_key_that_somebody_renamed_or_deleted_does_not_come_back(demo):
    rename_key(key=APIKey.objects.get(name=ZOHO), name="Ours")
    delete_key(key=APIKey.objects.get(name=FORM))
    out = StringIO()
    call_command("seed_demo", stdout=out)
    assert out.getvalue() == "Nothing to add: the demo data is there already.\n"
    assert set(APIKey.objects.values_list("name", flat=True)) == {"Ours", DASHBOARD, DIALLER}


def test_a_persons_own_key_of_that_name_stays_as_it_is():
    mine = create_api_key(name=ZOHO.upper(), scopes=["tags:read"]).key
    call_command("seed_demo", "--leads", "0", stdout=StringIO())
    mine.refresh_from_db()
    assert (mine.scopes, mine.last_used_at, mine.version) == (["tags:read"], None, 1)
    assert not Webhook.objects.filter(api_key=mine).exists()
    assert not KeyUsage.objects.filter(api_key_id=mine.pk).exists()


def test_a_schedule_of_few_attempts_and_no_leads_do_no_harm(settings):
    settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE = [0.0]
    call_command("seed_demo", "--leads", "30", stdout=StringIO())
    assert set(Attempt.objects.values_list("number", flat=True)) <= {1}
    APIKey.objects.all().delete()
    AuditEntry.objects.all().delete()
    by = Actor(type=ActorType.USER, id=1, name="Somebody")
    made = write_integrations(by=by, phones=[], now=timezone.now())
    assert made == integrations.Made(api_keys=4, webhooks=2, deliveries=0)


def test_only_the_demos_own_leads_are_told_of(demo):
    ours = {phone_of(index) for index in range(DEFAULT_LEADS)}
    told = Delivery.objects.values_list("lead_id", flat=True)
    assert set(Lead.objects.filter(pk__in=told).values_list("phone", flat=True)) <= ours


@pytest.mark.parametrize("panel", ["", "&panel=scopes", "&panel=usage", "&panel=webhooks"])
def test_the_page_shows_it(demo, desk, panel):
    key = APIKey.objects.get(name=ZOHO)
    page = desk.see(f"{TAB}&key={key.pk}{panel}" if panel else TAB)
    if panel in {"&panel=usage", "&panel=webhooks"}:
        assert 'class="plot' in page
    else:
        assert ZOHO in page
    assert RecentCalls.objects.exists() and RefusedCall.objects.exists()
