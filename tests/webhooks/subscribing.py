"""A key that subscribes by itself, as n8n does."""

URL = "https://hooks.example.com/in"
NEW = {"url": URL, "events": ["lead.created"]}


def subscribed(client, **more):
    """The answer to a new webhook of the client's key."""
    answer = client.post("/public/webhooks", NEW | more)
    assert answer.status_code == 201, answer.content
    return answer.json()
