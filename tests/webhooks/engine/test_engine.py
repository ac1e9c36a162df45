"""The engine with real threads, a real database and a receiver on loopback."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.operations import set_scopes
from leads.models import Call, FollowUp, LeadStatus, Note, User
from leads.models.external_id import ExternalId
from tests.processes import wait_until
from tests.webhooks.engines import (
    ALL_EVENTS,
    FAST,
    all_settled,
    new_key,
    new_lead,
    new_sender,
    new_webhook,
    running_engine,
    states,
)
from tests.webhooks.receiver import Received, answer, bodies, raw, running_receiver, verify
from webhooks.delivery.clock import database_now
from webhooks.delivery.lease import take_leases
from webhooks.models import Attempt, Delivery, EndpointState, Event, Webhook
from webhooks.operations import reveal_secret

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lead_that_is_created_arrives_signed_and_is_recorded(receiver):
    webhook = new_webhook(receiver.url, secret="generate")
    with running_engine() as engine:
        lead = new_lead()
        engine.poke([webhook.pk])
        [received] = receiver.wait_for(1)
        wait_until(all_settled)
    event = Event.objects.get()
    secret = reveal_secret(webhook)
    body = verify(received, secret)
    assert received.body.decode() == event.payload
    assert (body["id"], body["type"], body["data"]["lead"]["id"]) == (
        event.public_id,
        "lead.created",
        lead.pk,
    )
    delivery = Delivery.objects.get()
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == "Calliyo-Webhooks/1"
    assert received.headers["x-calliyo-event"] == "lead.created"
    assert received.headers["x-calliyo-delivery"] == str(delivery.pk)
    assert received.headers["x-calliyo-sequence"] == "1"
    assert received.headers["webhook-id"] == event.public_id
    assert (delivery.state, delivery.attempts, delivery.last_status, delivery.sequence) == (
        "delivered",
        1,
        200,
        1,
    )
    assert delivery.body is None and delivery.next_attempt_at is None and event.position == 1
    attempt = Attempt.objects.get()
    assert (attempt.number, attempt.status, attempt.response_body, attempt.address) == (
        1,
        200,
        "ok",
        "127.0.0.1",
    )
    assert attempt.request_headers["webhook-id"] == event.public_id and attempt.total_ms > 0
    state = EndpointState.objects.get()
    assert (state.leased_until, state.lease_holder, state.last_sequence) == (None, "", 1)
    assert state.last_success_at is not None and state.failures_in_a_row == 0


def test_without_a_poke_the_sweep_finds_what_waits(receiver):
    new_webhook(receiver.url)
    with running_engine():
        time.sleep(0.3)  # past the first sweep
        new_lead()
        assert "webhook-signature" not in receiver.wait_for(1, timeout=4)[0].headers


def test_failures_are_retried_on_the_schedule_with_the_same_id_and_bytes(receiver):
    webhook = new_webhook(receiver.url)
    receiver.script = [answer(500, body=b"no\x00pe"), raw(b"SSH-2.0\r\n"), answer(302), answer(204, body=b"")]
    with running_engine() as engine:
        new_lead()
        engine.poke([webhook.pk])
        received = receiver.wait_for(4)
        wait_until(all_settled)
    assert (
        len(
            {(each.headers["webhook-id"], each.headers["x-calliyo-sequence"], each.body) for each in received}
        )
        == 1
    )
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status, delivery.last_error) == (
        "delivered",
        4,
        204,
        "",
    )
    assert list(Attempt.objects.order_by("number").values_list("number", "status", "error_code")) == [
        (1, 500, "status"),
        (2, None, "answer_broken"),
        (3, 302, "redirect"),
        (4, 204, ""),
    ]
    assert Attempt.objects.get(number=1).response_body == "no\N{REPLACEMENT CHARACTER}pe"


def test_after_the_last_attempt_the_delivery_has_failed_and_is_kept(receiver):
    receiver.default = answer(503)
    webhook = new_webhook(receiver.url)
    with running_engine(schedule=(0, 0.05, 0.05)) as engine:
        new_lead()
        engine.poke([webhook.pk])
        wait_until(all_settled)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_error) == (
        "failed",
        3,
        "the endpoint answered 503",
    )
    assert delivery.finished_at is not None and len(receiver.received) == 3
    state = EndpointState.objects.get()
    assert state.failures_in_a_row == 3 and state.failing_since is not None


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_receiver_that_hangs_or_drips_is_cut_at_the_timeout_and_retried(receiver, how):
    receiver.script = [getattr(receiver, how)]
    webhook = new_webhook(receiver.url)
    with running_engine(timeout=0.5) as engine:
        new_lead()
        engine.poke([webhook.pk])
        receiver.wait_for(2)
        wait_until(all_settled)
    first = Attempt.objects.get(number=1)
    assert (first.error_code, first.error) == ("timed_out", "no answer within 0.5 s")
    assert 450 < first.total_ms < 5000
    assert states(Webhook.objects.get()) == ["delivered"]


def test_one_lead_arrives_in_order_while_its_first_event_fails_and_others_go_ahead(receiver):
    webhook = new_webhook(receiver.url)
    first, second = new_lead(1), new_lead(2)
    for number in range(5):
        for lead in (first, second):
            lead.last_name = f"Rao {number}"
            lead.save()
    refused = 3

    def fail_the_first_lead(sock, received: Received) -> bool:
        nonlocal refused
        if json.loads(received.body)["data"]["lead"]["id"] == first.pk and refused:
            refused -= 1
            return answer(500)(sock, received)
        return answer()(sock, received)

    receiver.default = fail_the_first_lead
    with running_engine(schedule=[0, 0.3, 0.3, 0.3, 0.3]) as engine:
        engine.poke([webhook.pk])
        wait_until(all_settled)
    arrived = bodies(receiver)
    of_first = [body["data"]["lead"]["version"] for body in arrived if body["data"]["lead"]["id"] == first.pk]
    of_second = [
        body["data"]["lead"]["version"] for body in arrived if body["data"]["lead"]["id"] == second.pk
    ]
    assert of_first == [1, 1, 1, 1, 2, 3, 4, 5, 6]
    assert of_second == [1, 2, 3, 4, 5, 6]
    last_of_second = max(i for i, body in enumerate(arrived) if body["data"]["lead"]["id"] == second.pk)
    assert last_of_second < len(arrived) - 6  # nobody waited for the first lead
    sequences = Delivery.objects.order_by("event__position").values_list("sequence", flat=True)
    assert list(sequences) == list(range(1, 13))


def test_strict_order_holds_across_leads(receiver):
    webhook = new_webhook(receiver.url, ordering="strict")
    for number in range(4):
        new_lead(number)
    receiver.script = [answer(), answer(500), answer(500)]
    with running_engine() as engine:
        engine.poke([webhook.pk])
        received = receiver.wait_for(6)
    assert [int(each.headers["x-calliyo-sequence"]) for each in received] == [1, 2, 2, 2, 3, 4]


def test_without_ordering_nothing_waits_for_a_failure(receiver):
    webhook = new_webhook(receiver.url, ordering="none")
    lead = new_lead()
    lead.last_name = "Rao"
    lead.save()
    receiver.script = [answer(500)]
    with running_engine() as engine:
        engine.poke([webhook.pk])
        received = receiver.wait_for(3)
    assert [int(each.headers["x-calliyo-sequence"]) for each in received] == [1, 2, 1]


def test_a_slow_endpoint_gets_more_threads_and_still_each_lead_in_order(receiver):
    receiver.default = answer(delay=0.1)
    webhook = new_webhook(receiver.url)
    leads = [new_lead(number) for number in range(12)]
    for lead in leads:
        lead.last_name = "Rao"
        lead.save()
    with running_engine() as engine:
        engine.poke([webhook.pk])
        wait_until(all_settled)
    assert 1 < receiver.connections <= 8
    for lead in leads:
        seen = [
            body["data"]["lead"]["version"]
            for body in bodies(receiver)
            if body["data"]["lead"]["id"] == lead.pk
        ]
        assert seen == [1, 2]


def test_an_endpoint_that_hangs_does_not_delay_another(receiver):
    with running_receiver() as hanging:
        hanging.default = hanging.hang
        stuck = new_webhook(hanging.url, key=new_key("Stuck"))
        webhook = new_webhook(receiver.url)
        with running_engine(timeout=5.0) as engine:
            for number in range(5):
                new_lead(number)
            engine.poke([stuck.pk, webhook.pk])
            before = time.monotonic()
            receiver.wait_for(5)
            assert time.monotonic() - before < 3.0
            hanging.stopping.set()


def test_a_crash_between_send_and_record_sends_the_same_bytes_and_id_again(receiver):
    """What kill -9 leaves: a lease that runs out, a first attempt made, nothing recorded."""
    key = new_key()
    webhook = new_webhook(receiver.url, key=key)
    lead = new_lead()
    recorded = threading.Event()
    crashed = running_engine()
    with crashed as engine:
        engine._collect = lambda: recorded.wait(20) and None  # never comes to record
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        # What the key may see changes before the next attempt; the body is settled already.
        set_scopes(key=key, scopes=["leads:read"])
        ExternalId.objects.create(lead=lead, api_key_id=key.pk, value="ZC-1")
        EndpointState.objects.update(leased_until=database_now() - timedelta(seconds=1))
        with running_engine() as heir:
            heir.poke([webhook.pk])
            first, second = receiver.wait_for(2)
            wait_until(all_settled)
        engine._unrecorded.clear()
        for served in engine._served.values():
            served.runs.clear()
        recorded.set()
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["x-calliyo-sequence"] == second.headers["x-calliyo-sequence"] == "1"
    assert EndpointState.objects.get().lease_number == 2


def test_a_result_under_a_lease_that_another_has_now_does_not_count(receiver):
    receiver.default = answer(500, delay=0.5)
    webhook = new_webhook(receiver.url)
    new_lead()
    with running_engine(schedule=(0, 60)) as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        EndpointState.objects.update(leased_until=database_now() - timedelta(seconds=1))
        [lease] = take_leases([webhook.pk], holder="somebody else")
        wait_until(lambda: not engine._served)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("waiting", 0, "")
    assert not Attempt.objects.exists()
    state = EndpointState.objects.get()
    assert (state.lease_holder, state.lease_number) == ("somebody else", lease.number)
    assert state.leased_until is not None


def test_who_could_not_renew_starts_no_request(receiver):
    receiver.default = answer(delay=0.2)
    webhook = new_webhook(receiver.url)
    for number in range(10):
        new_lead(number)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        for served in list(engine._served.values()):
            served.lease.ours_until = 0.0
        EndpointState.objects.update(
            lease_holder="somebody else", leased_until=timezone.now() + timedelta(seconds=60)
        )
        time.sleep(1.0)
        assert len(receiver.received) == 1


def test_two_engines_lose_nothing_and_send_nothing_twice(receiver):
    hooks = [new_webhook(f"{receiver.url}/{n}", key=new_key(f"Key {n}")) for n in range(3)]
    with running_engine() as one, running_engine() as two:
        for number in range(30):
            lead = new_lead(number)
            lead.last_name = "Rao"
            lead.save()
            (one if number % 2 else two).poke([hook.pk for hook in hooks])
        wait_until(all_settled)
    assert len(receiver.received) == 180
    assert len({each.headers["x-calliyo-delivery"] for each in receiver.received}) == 180
    for hook in hooks:
        sequences = (
            Delivery.objects.filter(webhook=hook).order_by("sequence").values_list("sequence", flat=True)
        )
        assert list(sequences) == list(range(1, 61))


def test_a_stop_waits_for_the_request_under_way_and_records_it(receiver):
    receiver.default = answer(delay=0.4)
    webhook = new_webhook(receiver.url)
    new_lead(1)
    new_lead(2)
    with running_engine() as engine:
        engine.poke([webhook.pk])
        receiver.wait_for(1)
    assert sorted(states(webhook)) == ["delivered", "waiting"] and len(receiver.received) == 1
    assert EndpointState.objects.get().leased_until is None


def test_all_nine_events_arrive_in_the_order_of_the_log_numbered_without_a_hole(receiver):
    webhook = new_webhook(receiver.url, events=ALL_EVENTS, ordering="strict", secret="generate")
    agent = User.objects.create(username="ravi", email="ravi@example.com", role="agent")
    with running_engine() as engine:
        lead = new_lead()
        lead.owner = agent
        lead.status = LeadStatus.objects.get(role="customer")
        lead.save()
        Call.objects.create(lead=lead, direction="outgoing", status="called", started_at=timezone.now())
        follow_up = FollowUp.objects.create(lead=lead, owner=agent, due_at=timezone.now(), note="Call back")
        follow_up.resolved_at = timezone.now()
        follow_up.save()
        Note.objects.create(lead=lead, text="Budget approved", author_type="system")
        engine.poke([webhook.pk])
        received = receiver.wait_for(9)
    secret = reveal_secret(webhook)
    assert [verify(each, secret)["type"] for each in received] == ALL_EVENTS
    assert [each.headers["x-calliyo-event"] for each in received] == ALL_EVENTS
    assert [each.headers["x-calliyo-sequence"] for each in received] == [str(n) for n in range(1, 10)]
    assert [each.body.decode() for each in received] == list(
        Event.objects.order_by("position").values_list("payload", flat=True)
    )


def test_a_fault_over_one_webhook_holds_that_one_and_no_other(receiver):
    broken, webhook = new_webhook(f"{receiver.url}/broken", key=new_key("Broken")), new_webhook(receiver.url)
    new_lead()
    Delivery.objects.filter(webhook=broken).update(type="lead.exploded")
    with running_engine() as engine:
        engine.poke([broken.pk, webhook.pk])
        receiver.wait_for(1)
        wait_until(lambda: EndpointState.objects.get(webhook=broken).paused_until is not None)
    assert states(webhook) == ["delivered"] and states(broken) == ["waiting"]
    assert Delivery.objects.get(webhook=broken).last_error == "held: a fault in Calliyo (ValueError)"


@pytest.mark.parametrize("step", ["begin", "end"])
def test_faults_of_ours_fail_the_delivery_and_not_the_engine(receiver, monkeypatch, step):
    webhook = new_webhook(receiver.url)
    sender = new_sender()
    real_step, failures = getattr(sender, step), [RuntimeError("a fault of ours")]

    def faulty(*args, **kwargs):
        if failures:
            raise failures.pop()
        return real_step(*args, **kwargs)

    monkeypatch.setattr(sender, step, faulty)
    with running_engine(FAST, sender=sender) as engine:
        new_lead()
        engine.poke([webhook.pk])
        receiver.wait_for(1)
        wait_until(all_settled)
    assert list(Attempt.objects.order_by("number").values_list("error_code", flat=True)) == ["internal", ""]
