"""The admin's pages of events, webhooks, deliveries and attempts."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leads.models import User
from tests.webhooks.engines import new_key, new_lead, new_webhook
from webhooks.delivery.clock import database_now
from webhooks.models import Attempt, Delivery, Event, Webhook
from webhooks.operations import reveal_secret

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    user = User.objects.create(username="asha", email="asha@example.com", role="company_admin")
    client.force_login(user)
    return client


@pytest.fixture
def delivery(admin: Client) -> Delivery:
    new_webhook("http://127.0.0.1:9/hook", secret="generate", headers={"Authorization": "Bearer of theirs"})
    new_lead()
    delivery = Delivery.objects.get()
    Attempt.objects.create(delivery=delivery, number=1, started_at=database_now(), total_ms=3.5, status=500)
    return delivery


@pytest.mark.parametrize("model", ["event", "webhook", "delivery", "attempt"])
def test_lists_and_pages_open_and_nothing_can_be_written(
    admin: Client, delivery: Delivery, model: str
) -> None:
    row = {"event": Event, "webhook": Webhook, "delivery": Delivery, "attempt": Attempt}[model].objects.get()
    address = f"/admin/webhooks/{model}/"
    assert admin.get(address).status_code == 200
    page = admin.get(f"{address}{row.pk}/change/")
    assert page.status_code == 200
    secret = reveal_secret(Webhook.objects.get())
    assert secret is not None
    for hidden in (secret, Webhook.objects.get().secret, "Bearer of theirs"):
        assert hidden not in page.content.decode()
    assert admin.get(f"{address}add/").status_code == 403
    assert admin.post(f"{address}{row.pk}/change/", {"url": "https://example.com"}).status_code == 403
    assert admin.post(f"{address}{row.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        "delivery/?webhook__exact={d.webhook_id}",
        "delivery/?event__exact={d.event_id}",
        "attempt/?delivery__exact={d.pk}",
    ],
)
def test_one_log_leads_to_the_next(admin: Client, delivery: Delivery, address: str) -> None:
    other = new_webhook("http://127.0.0.1:9/other", key=new_key("Other"), events=["note.added"])
    page = admin.get(f"/admin/webhooks/{address.format(d=delivery)}")
    assert page.status_code == 200 and page.context["cl"].result_count == 1
    assert admin.get(f"/admin/webhooks/delivery/?webhook__exact={other.pk}").context["cl"].result_count == 0


def test_a_list_counts_no_further_than_pages_are_turned(admin: Client, delivery: Delivery) -> None:
    with CaptureQueriesContext(connection) as captured:
        admin.get("/admin/webhooks/delivery/")
    counts = [query["sql"] for query in captured.captured_queries if "COUNT" in query["sql"].upper()]
    assert counts and all("LIMIT 10000" in sql for sql in counts if "webhooks_delivery" in sql)
