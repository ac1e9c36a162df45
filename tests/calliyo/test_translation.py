"""Every word of the keys' pages goes through gettext: a translation is a file, and nothing stays English beside it."""

import re
from html.parser import HTMLParser

import pytest
from django.utils import translation

from apikeys.models import APIKey, AuditEntry
from apikeys.operations import deactivate_key, set_limits, set_scopes
from tests.calliyo.conftest import TAB
from tests.calliyo.test_api_tab_usage import used
from webhooks.operations import subscribe

# Names, addresses, code and moments; what the log says of a problem is the API's own English.
DATA = {"code", "pre", "bdi", "option", "title", "script", "style"}
SPOKEN = ("aria-label", "placeholder", "alt")


class Words(HTMLParser):
    """What a person reads or hears in `<div id="content">`, but for data."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []
        self.depth = 0
        self.within = []

    def handle_starttag(self, tag, attrs):
        if tag in {"input", "link", "meta", "br", "path", "rect", "line", "wbr", "img"}:
            self.tell(dict(attrs))
            return
        if self.depth or dict(attrs).get("id") == "content":
            self.depth += 1
            self.within.append(tag)
            self.tell(dict(attrs))

    def handle_endtag(self, tag):
        if self.depth:
            self.depth -= 1
            self.within.pop()

    def handle_data(self, data):
        if self.depth and not DATA.intersection(self.within):
            self.found.append(data)

    def tell(self, attrs):
        if self.depth:
            self.found += [attrs[name] for name in SPOKEN if attrs.get(name)]


def untranslated(page):
    """Runs of letters outside ⟦…⟧."""
    words = Words()
    words.feed(page)
    for text in words.found:
        rest = text
        while "⟦" in rest:
            rest, before = re.sub(r"⟦[^⟦⟧]*⟧", "", rest), rest
            if rest == before:
                break
        yield from re.findall(r"[A-Za-z]{3,}[^⟦]*", rest)


@pytest.fixture
def pseudo(monkeypatch):
    """Every text that is asked for comes in brackets."""
    _ = translation.gettext("warm up")
    monkeypatch.setattr(translation._trans, "gettext", lambda message: f"⟦{message}⟧")
    monkeypatch.setattr(
        translation._trans, "ngettext", lambda one, many, count: f"⟦{one if count == 1 else many}⟧"
    )


@pytest.fixture
def key(key_with):
    key = key_with("leads:read", "leads:write", "calls:read", name="7")
    subscribe(api_key=key, url="https://crm.example/", events=["lead.created"])
    set_scopes(key=key, scopes=["leads:read", "leads:write", "tags:read"])
    set_limits(
        key=key, rate_limit=7, allowed_addresses=["10.0.0.1"], allowed_origins=[], manage_webhooks=True
    )
    used(key, calls=12)
    deactivate_key(key=key)
    APIKey.objects.filter(pk=key.pk).update(last_used_address="10.0.0.1")
    AuditEntry.objects.update(actor_name="8")
    return key


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&new=zoho",
        "&q=7",
        "&q=nothing",
        "&key={key}&panel=scopes",
        "&key={key}&panel=usage",
        "&key={key}&confirm=rename",
        "&key={key}&confirm=duplicate",
        "&key={key}&confirm=regenerate",
        "&key={key}&confirm=delete",
    ],
)
def test_no_word_stays_english(desk, key, pseudo, query):
    page = desk.client.get(f"{TAB}{query.format(key=key.pk)}").content.decode()
    allowed = {"Zoho production", "cly_live_", "Priya Nair", "https://crm.example/", "tags", "leads"}
    assert [text for text in untranslated(page) if not any(text.startswith(word) for word in allowed)] == []


def test_the_test_notices_a_word_that_was_forgotten(pseudo):
    page = (
        '<div id="content"><p>⟦Saved⟧ <b>Forgotten</b> ⟦a ⟦nested⟧ one⟧</p><a aria-label="Too">⟦x⟧</a></div>'
    )
    assert list(untranslated(page)) == ["Forgotten", "Too"]
