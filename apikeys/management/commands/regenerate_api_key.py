"""`manage.py regenerate_api_key ID`."""

from typing import Any

from apikeys.command import KeyCommand
from apikeys.models import APIKey
from apikeys.operations import regenerate_token


class Command(KeyCommand):
    help = "Gives an API key a new token and prints it, once; the old one stops working at once."

    def work_on(self, key: APIKey) -> dict[str, Any]:
        minted = regenerate_token(key=key)
        return {"id": minted.key.pk, "name": minted.key.name, "token": minted.token}

    def told(self, result: dict[str, Any]) -> str:
        return (
            f"{result['name']} (API key {result['id']}) has a new token; the old one no longer works.\n"
            f"Copy it now, it is not shown again:\n\n  {result['token']}"
        )
