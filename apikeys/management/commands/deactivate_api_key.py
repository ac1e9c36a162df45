"""`manage.py deactivate_api_key ID`."""

from typing import Any

from apikeys.command import KeyCommand
from apikeys.models import APIKey
from apikeys.operations import deactivate_key


class Command(KeyCommand):
    help = "Refuses an API key's requests from now on; its deliveries wait until it is active again."

    def work_on(self, key: APIKey) -> dict[str, Any]:
        key = deactivate_key(key=key)
        return {"id": key.pk, "name": key.name, "active": key.active}

    def told(self, result: dict[str, Any]) -> str:
        return f"{result['name']} (API key {result['id']}) is deactivated."
