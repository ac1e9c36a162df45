"""`manage.py delete_api_key ID`."""

from typing import Any

from apikeys.command import KeyCommand
from apikeys.models import APIKey
from apikeys.operations import delete_key


class Command(KeyCommand):
    help = "Deletes an API key for good, with its scopes and webhooks."

    def work_on(self, key: APIKey) -> dict[str, Any]:
        delete_key(key=key)
        return {"id": key.pk, "name": key.name, "deleted": True}

    def told(self, result: dict[str, Any]) -> str:
        return f"{result['name']} (API key {result['id']}) is deleted, with its scopes and webhooks."
