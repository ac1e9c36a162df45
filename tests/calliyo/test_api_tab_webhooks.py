"""Configure → Webhooks: subscribed with the words of the product page, refused at the field, never twice."""

import re
from threading import BoundedSemaphore

import pytest
from django.test import override_settings

from apikeys.models import APIKey
from apikeys.operations import deactivate_key, set_scopes
from calliyo.pages.api_tab import webhooks
from tests.calliyo.conftest import TAB, text_of
from tests.leads.factories import LeadFactory
from tests.servers import free_port
from webhooks.models import Delivery, EndpointState, Health, OffReason, Webhook
from webhooks.operations import change_webhook, reveal_secret, subscribe

URL = "https://flow.zoho.example/calliyo"


@pytest.fixture
def key(key_with):
    return key_with("leads:read", "leads:write", "calls:read")


def panel(key, more=""):
    return f"{TAB}&key={key.pk}&panel=webhooks{more}"


def add(desk, key, **fields):
    form = {"url": URL, "events": ["lead.created"], "secret_choice": "none", "ordering": "per_lead", **fields}
    return desk.send(f"keys/{key.pk}/webhooks", form_number=desk.number(panel(key, "&webhook=new")), **form)


def edit(desk, webhook, **fields):
    key = webhook.api_key
    form = {
        "version": webhook.version,
        "url": webhook.url,
        "events": webhook.events,
        "secret_choice": "keep" if webhook.secret else "none",
        "ordering": webhook.ordering,
        **fields,
    }
    number = desk.number(panel(key, f"&webhook={webhook.pk}"))
    return desk.send(f"webhooks/{webhook.pk}", form_number=number, **form)


def test_the_nine_events_stand_there_in_the_product_pages_words(desk, key):
    page = desk.see(panel(key, "&webhook=new"))
    assert re.findall(r"<code>([a-z_.]+)</code><span class=\"sub\">([^<]+?)\s*<", page) == [
        ("lead.created", "Any new lead enters Calliyo."),
        ("lead.updated", "Any field on a lead changes."),
        ("lead.status_changed", "The lead moved to a different status."),
        ("lead.assigned", "A lead’s owner changed."),
        ("lead.converted", "A lead became a customer."),
        ("call.completed", "A call ended (any status)."),
        ("followup.created", "A new follow-up was scheduled."),
        ("followup.completed", "A follow-up was resolved."),
        ("note.added", "A note was added to a lead."),
    ]
    assert "Needs the scope Notes read." in page


def test_a_webhook_is_added(desk, key):
    response = add(desk, key, events=["call.completed", "lead.created"], skip_own="on", ordering="strict")
    assert response["Location"] == panel(key)
    webhook = Webhook.objects.get()
    assert (webhook.api_key, webhook.url, webhook.events) == (key, URL, ["lead.created", "call.completed"])
    assert (webhook.ordering, webhook.skip_own, webhook.secret, webhook.active) == ("strict", True, "", True)
    assert webhook.created_by_name == "Priya Nair"
    page = desk.see(panel(key))
    assert "Saved" in page
    assert "Delivering" in page
    assert "Not signed" in page


def test_a_second_post_of_the_same_form_adds_nothing(desk, key):
    number = desk.number(panel(key, "&webhook=new"))
    for _ in range(2):
        response = desk.send(
            f"keys/{key.pk}/webhooks",
            form_number=number,
            url=URL,
            events=["lead.created"],
            secret_choice="none",
            ordering="per_lead",
        )
    assert response["Location"] == panel(key)
    assert Webhook.objects.count() == 1


def test_an_event_without_its_scope_is_refused_at_the_field_with_the_scopes_name(desk, key):
    response = add(desk, key, events=["lead.created", "note.added"])
    page = text_of(response)
    assert "note.added needs the scope Notes read. Tick it below the event, or leave the event out." in page
    assert re.search(
        r'value="note.added" data-scope="notes:read" checked aria-invalid="true" aria-describedby="id_events_error"',
        page,
    )
    assert 'id="id_events_error"' in page
    assert f'value="{URL}"' in page
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "https://",
        "javascript:alert(1)",
        "ftp://example.com/",
        "http://example.com/",
        "https://user:word@example.com/",
        "https://10.0.0.1/",
        "https://[::1]:8000/x",
        "https://169.254.169.254/latest",
        "https://example.com/with space",
        "https://example.com/" + "x" * 3000,
        "https://exa\x00mple.com/",
    ],
)
@override_settings(CALLIYO_WEBHOOK_ALLOWED_NETWORKS=[])
def test_a_url_that_cannot_work_is_refused_at_its_field(desk, key, url):
    response = add(desk, key, url=url)
    page = text_of(response)
    assert response.status_code == 200
    assert re.search(r'<input[^>]*name="url"[^>]*aria-invalid="true"', page), url
    assert re.search(r'<ul class="errorlist" id="id_url_error"><li>[^<]{10,}', page)
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("secret", ["", "abc", "generate", "whsec_!!!!!!!!!!!!!!!!!!", "x" * 300])
def test_a_secret_that_is_none_is_refused_at_its_field(desk, key, secret):
    page = text_of(add(desk, key, secret_choice="typed", secret=secret))
    assert re.search(r'<input[^>]*name="secret"[^>]*aria-invalid="true"', page)
    assert not Webhook.objects.exists()


def test_all_that_is_wrong_is_told_at_once(desk, key):
    page = text_of(
        add(desk, key, url="nonsense", events=["note.added"], secret_choice="typed", secret="short")
    )
    assert all(f'id="id_{field}_error"' in page for field in ("url", "events", "secret"))


def test_no_event_is_refused(desk, key):
    assert "Tick at least one event." in text_of(add(desk, key, events=[]))
    assert not Webhook.objects.exists()


def test_a_generated_secret_is_shown_in_the_answer_and_again_when_asked_for(desk, key):
    response = add(desk, key, secret_choice="generate")
    webhook = Webhook.objects.get()
    secret = reveal_secret(webhook)
    assert secret.startswith("whsec_")
    assert secret in text_of(response)
    assert "no-store" in response["Cache-Control"]
    assert secret not in desk.see(panel(key))
    again = desk.send(f"webhooks/{webhook.pk}/secret")
    assert secret in text_of(again)
    assert secret not in webhook.secret


def test_a_typed_secret_is_kept_and_not_shown(desk, key):
    response = add(desk, key, secret_choice="typed", secret="sixteen-letters!")
    assert response["Location"] == panel(key)
    webhook = Webhook.objects.get()
    assert reveal_secret(webhook) == "sixteen-letters!"
    assert "sixteen-letters!" not in desk.see(panel(key, f"&webhook={webhook.pk}"))


def test_an_edit_keeps_the_secret_unless_told_otherwise(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="sixteen-letters!")
    assert edit(desk, webhook, events=["call.completed"])["Location"] == panel(key)
    webhook.refresh_from_db()
    assert (webhook.events, reveal_secret(webhook)) == (["call.completed"], "sixteen-letters!")
    edit(desk, webhook, secret_choice="none")
    webhook.refresh_from_db()
    assert webhook.secret == ""


def test_a_new_secret_lets_the_old_one_sign_too_for_a_day(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"], secret="sixteen-letters!")
    response = edit(desk, webhook, secret_choice="generate")
    webhook.refresh_from_db()
    assert reveal_secret(webhook) in text_of(response)
    assert len(webhook.previous_secrets) == 1
    assert webhook.previous_secret_until is not None


def test_who_comes_second_is_told_and_overwrites_nothing(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    change_webhook(webhook=webhook, url="https://elsewhere.example/")
    response = edit(desk, webhook, events=["call.completed"])
    page = text_of(response)
    assert "this webhook was changed since you opened it (Calliyo, just now)" in page
    assert "The URL is now https://elsewhere.example/." in page
    assert 'value="call.completed" checked' in page
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events) == ("https://elsewhere.example/", ["lead.created"])
    number = re.search(r'name="form_number" value="([^"]+)"', page)[1]
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    desk.send(
        f"webhooks/{webhook.pk}",
        form_number=number,
        version=version,
        url=URL,
        events=["call.completed"],
        secret_choice="none",
        ordering="none",
    )
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events, webhook.ordering) == (URL, ["call.completed"], "none")


def test_off_and_on_and_deleted(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    assert desk.send(f"webhooks/{webhook.pk}/off")["Location"] == panel(key)
    webhook.refresh_from_db()
    assert (webhook.active, webhook.off_reason) == (False, OffReason.BY_HAND)
    assert "Turned off by hand" in desk.see(panel(key))
    desk.send(f"webhooks/{webhook.pk}/on")
    webhook.refresh_from_db()
    assert webhook.active
    assert "Delete this webhook?" in desk.see(panel(key, f"&webhook={webhook.pk}&do=delete"))
    assert desk.send(f"webhooks/{webhook.pk}/delete")["Location"] == panel(key)
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("health", "word"),
    [(Health.HEALTHY, "Delivering"), (Health.SLOWED, "Slowed down"), (Health.DOWN, "Not answering")],
)
def test_health_is_a_word_in_the_list_and_in_the_drawer(desk, key, health, word):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    EndpointState.objects.filter(webhook=webhook).update(health=health)
    assert word in desk.see()
    assert word in desk.see(panel(key))


def test_a_deactivated_key_pauses_its_webhooks_and_a_lost_scope_strikes_events_out(desk, key):
    subscribe(api_key=key, url=URL, events=["lead.created", "call.completed"])
    set_scopes(key=key, scopes=["calls:read"])
    page = desk.see(panel(key))
    assert "Scope missing" in page
    assert re.search(r'<li class="idle">lead.created', page)
    deactivate_key(key=key)
    assert "Paused" in desk.see()


def test_a_test_event_shows_its_request_and_its_answer(desk, key, receiver):
    webhook = subscribe(
        api_key=key, url=receiver.url, events=["lead.created", "call.completed"], secret="generate"
    )
    page = text_of(desk.send(f"webhooks/{webhook.pk}/test", event="call.completed"))
    assert "X-Calliyo-Event: call.completed" in page
    assert "X-Calliyo-Signature: t=" in page
    assert '"type": "call.completed"' in page
    assert "HTTP/1.1 200 OK" in page
    assert re.search(r"\d+ ms", page)


def test_a_test_event_that_is_not_answered_says_why(desk, key):
    webhook = subscribe(api_key=key, url=f"http://127.0.0.1:{free_port()}/", events=["lead.created"])
    page = text_of(desk.send(f"webhooks/{webhook.pk}/test"))
    assert "No answer" in page
    assert "The connection was refused: nothing listens there." in page


def test_another_keys_webhook_is_not_opened_from_this_key(desk, key, key_with):
    other = key_with("leads:read", name="Other")
    webhook = subscribe(api_key=other, url="https://other.example/", events=["lead.created"])
    assert "https://other.example/" not in desk.see(panel(key, f"&webhook={webhook.pk}"))
    assert APIKey.objects.count() == 2


def test_turned_on_again_it_is_offered_what_it_missed_and_sent_that_once(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    desk.send(f"webhooks/{webhook.pk}/off")
    for _ in range(3):
        LeadFactory.create()
    response = desk.send(f"webhooks/{webhook.pk}/on")
    page = desk.see(response["Location"])
    assert "Send the 3 missed events?" in page
    assert not Delivery.objects.exists()
    for expected in ("3 missed events are queued.", "0 missed events are queued."):
        page = desk.see(desk.send(f"webhooks/{webhook.pk}/missed")["Location"])
        assert expected in page
    assert Delivery.objects.filter(webhook=webhook, cause="replay", state="waiting").count() == 3


def test_what_was_missed_is_not_sent_to_one_that_is_off(desk, key):
    webhook = subscribe(api_key=key, url=URL, events=["lead.created"])
    desk.send(f"webhooks/{webhook.pk}/off")
    LeadFactory.create()
    assert "off" in desk.send(f"webhooks/{webhook.pk}/missed").content.decode()
    assert not Delivery.objects.exists()


def test_with_a_script_a_test_event_is_a_part_of_the_page(desk, key, receiver):
    webhook = subscribe(api_key=key, url=receiver.url, events=["lead.created"])
    response = desk.client.post(f"/settings/api/webhooks/{webhook.pk}/test", headers={"HX-Request": "true"})
    page = text_of(response)
    assert "<html" not in page
    assert "HTTP/1.1 200 OK" in page
    assert "First byte" in page


def test_test_events_leave_most_threads_to_others(desk, key, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "_TESTS", BoundedSemaphore(1))
    webhook = subscribe(api_key=key, url=receiver.url, events=["lead.created"])
    with webhooks._TESTS:
        assert "Try again in some seconds." in text_of(desk.send(f"webhooks/{webhook.pk}/test"))
    assert not receiver.requests
    assert "HTTP/1.1 200 OK" in text_of(desk.send(f"webhooks/{webhook.pk}/test"))
