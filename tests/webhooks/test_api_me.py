"""`/public/me`: what a key learns of itself, and of nobody else."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from webhooks.models import EndpointState, Webhook


def test_a_key_learns_its_name_scopes_limits_and_webhooks(client_with):
    year = timezone.now().year + 1
    client = client_with(
        "tags:read",
        name="Looker",
        rate_limit=1200,
        expires_at=datetime(year, 1, 2, tzinfo=UTC),
        allowed_addresses=["127.0.0.0/8"],
    )
    other = client_with("leads:read")
    webhook = Webhook.objects.create(api_key=client.key, url="https://example.com/", events=["lead.created"])
    Webhook.objects.create(api_key=other.key, url="https://other.example/", events=["lead.created"])
    EndpointState.objects.create(webhook=webhook)
    me = client.get("/public/me").json()
    assert me == {
        "id": client.key.pk,
        "name": "Looker",
        "prefix": client.token[:13],
        "scopes": ["tags:read"],
        "manage_webhooks": False,
        "created_at": me["created_at"],
        "expires_at": f"{year}-01-02T00:00:00.000Z",
        "limits": {
            "requests": 1200,
            "window_seconds": 60,
            "burst": 100,
            "allowed_addresses": ["127.0.0.0/8"],
            "allowed_origins": [],
        },
        "webhooks": [
            {
                "id": webhook.pk,
                "url": "https://example.com/",
                "events": ["lead.created"],
                "active": True,
                "has_secret": False,
            }
        ],
    }


def test_a_key_without_scopes_or_limit_may_ask_too(client_with):
    answer = client_with(rate_limit=0).get("/public/me/")
    assert answer.status_code == 200
    assert answer.json()["limits"]["requests"] is None
    assert answer.json()["scopes"] == answer.json()["webhooks"] == []


def test_neither_token_nor_digest_is_told(client_with):
    client = client_with()
    content = client.get("/public/me").content.decode()
    assert client.token not in content
    assert client.key.digest not in content


def test_it_takes_no_parameters_and_no_writes(client_with):
    client = client_with()
    assert client.get("/public/me", {"expand": "all"}).status_code == 400
    assert client.post("/public/me", {}).status_code == 405


def test_the_number_of_statements_does_not_grow_with_the_webhooks(client_with, django_assert_num_queries):
    client = client_with()
    client.key.last_used_at = timezone.now() + timedelta(seconds=1)
    client.key.save()
    for n in range(3):
        Webhook.objects.create(api_key=client.key, url=f"https://example.com/{n}", events=[])
        with django_assert_num_queries(2):
            client.get("/public/me")
