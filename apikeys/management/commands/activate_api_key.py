"""`manage.py activate_api_key ID`."""

from typing import Any

from apikeys.command import KeyCommand
from apikeys.models import APIKey
from apikeys.operations import activate_key


class Command(KeyCommand):
    help = "Lets a deactivated API key in again, with the same token; what waited for it goes out."

    def work_on(self, key: APIKey) -> dict[str, Any]:
        key = activate_key(key=key)
        return {"id": key.pk, "name": key.name, "active": key.active}

    def told(self, result: dict[str, Any]) -> str:
        return f"{result['name']} (API key {result['id']}) is active."
