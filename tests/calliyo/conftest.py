"""A company admin and her browser, without a browser."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apikeys.models import APIKey
from apikeys.operations import create_api_key
from calliyo.models import Company
from leads.models import Role, User

TAB = "/settings?tab=api"


class Desk:
    """What an admin sees and sends: pages as text, forms as posts with the numbers that the page gave out."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def see(self, address: str = TAB) -> str:
        response = self.client.get(address)
        assert response.status_code == 200, response
        return text_of(response)

    def number(self, address: str = f"{TAB}&new=1") -> str:
        """The single-use number of the form at this address."""
        found = re.search(r'name="form_number" value="([^"]+)"', self.see(address))
        assert found
        return unescape(found[1])

    def send(self, path: str, **fields: Any) -> HttpResponse:
        return self.client.post(f"/settings/api/{path}", fields)

    def create(self, name: str = "Zoho production", **fields: Any) -> HttpResponse:
        return self.send("keys", name=name, form_number=self.number(), **fields)

    def notices(self) -> str:
        return " ".join(re.findall(r'<li class="note [a-z]+">(.*?)</li>', self.see()))


def text_of(response: HttpResponse) -> str:
    """The page as a person reads it: entities decoded, whitespace as it falls."""
    return unescape(response.content.decode())


@pytest.fixture
def priya(db: None) -> User:
    return User.objects.create_user(
        "priya", "priya@example.com", "correct horse", name="Priya Nair", role=Role.COMPANY_ADMIN
    )


@pytest.fixture
def desk(priya: User, client: Client) -> Desk:
    Company.current()  # made by the first request of all, which no query count is about
    client.force_login(priya)
    return Desk(client)


@pytest.fixture
def key_with(db: None) -> Callable[..., APIKey]:
    def make(*scopes: str, name: str = "Zoho production") -> APIKey:
        return create_api_key(name=name, scopes=scopes).key

    return make
