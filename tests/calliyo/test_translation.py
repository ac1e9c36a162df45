"""Every word of the Settings pages goes through gettext, and `makemessages` finds it: a translation is a file."""

import ast
import gettext as catalogues
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import django
import pytest
from django.utils import translation
from django.utils.translation.template import templatize

from apikeys.models import APIKey, AuditEntry, RefusedCall
from apikeys.operations import set_limits, set_scopes
from calliyo.errors import DomainError
from calliyo.settings import BASE_DIR
from leads.models import Role, User
from tests.calliyo.conftest import TAB
from tests.calliyo.test_api_tab_usage import used
from tests.deliveries import busy_day, new_delivery
from tests.second_factor import app_code, with_factor
from webhooks.models import Delivery, OffReason, Webhook
from webhooks.operations import subscribe, turn_off

OURS = ("apikeys", "calliyo", "leads", "webhooks")
# Names, addresses and code: nobody's English.
DATA = {"code", "pre", "bdi", "textarea", "script", "style"}
SPOKEN = re.compile(r"aria-label|placeholder|alt|title|data-(copied|selected|busy|words|label|said)")
EMPTY = {
    "input",
    "link",
    "meta",
    "br",
    "hr",
    "wbr",
    "img",
    "path",
    "rect",
    "line",
    "circle",
    "polyline",
    "use",
}
# Names of our data and of the product, and codes.
UNTOLD = re.compile(
    r"https?://\S*|/settings/\S+|\b[45]\d\d [A-Z][A-Za-z ]+|cly_live_\S*|\b[a-z]+\.[a-z_]+\b|\b[a-z-]+:(read|write)\b"
    r"|GMT|UTC|IST|Calliyo|Priya Nair|priya"
    r"|Zoho production|Internal Looker|Marketing form|flow\.zoho\.example|crm\.example|X-Source: calliyo"
)


class Words(HTMLParser):
    """What a person reads or hears, but for data, with the places where one stands within ⟦…⟧ cut out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within: list[str] = []
        self.open = 0

    def handle_starttag(self, tag, attrs):
        told = [value for name, value in attrs if value and SPOKEN.fullmatch(name)]
        if ("type", "submit") in attrs:
            told += [value for name, value in attrs if name == "value"]
        for text in told:
            self.found.append(_outside(text, 0)[0])
        if tag not in EMPTY:
            self.within.append(tag)

    def handle_endtag(self, tag):
        if tag in self.within:
            while self.within.pop() != tag:
                pass

    def handle_data(self, data):
        bare, self.open = _outside(data, self.open)
        if not DATA.intersection(self.within):
            self.found.append(bare)


def _outside(text: str, depth: int) -> tuple[str, int]:
    """What of `text` is in no bracket, and how deep its end is; a sentence may go on in the next element."""
    kept = ""
    for character in text:
        depth += (character == "⟦") - (character == "⟧")
        kept += character if depth == 0 and character != "⟧" else " " if character == "⟦" else ""
    return kept, depth


def untranslated(page: str) -> list[str]:
    """Words outside ⟦…⟧."""
    words = Words()
    words.feed(page)
    assert words.open == 0
    return [text.strip() for text in words.found if re.search(r"[A-Za-z]{2,}", UNTOLD.sub("", text))]


@cache
def found_by_makemessages() -> frozenset[str]:
    """The texts that our sources hand to gettext as literals: all that `makemessages` can see."""
    paths = [path for app in OURS for path in (BASE_DIR / app).rglob("*") if path.is_file()]
    code = (text for path in paths if path.suffix == ".py" for text in _in_code(path))
    templates = (text for path in paths if path.suffix == ".html" for text in _in_template(path))
    return frozenset([*code, *templates])


def _in_code(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and re.fullmatch(
            r"_|n?gettext(_lazy|_noop)?", getattr(node.func, "id", "")
        ):
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str))


def _in_template(path: Path) -> Iterator[str]:
    for call in re.findall(r"n?gettext\((.*?)\) ", templatize(path.read_text(), origin=str(path)), re.DOTALL):
        yield from map(ast.literal_eval, re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", call))


@cache
def known_to_django() -> frozenset[str]:
    """What Django's own pages, forms and dates say; another language's catalogue has all of it."""
    folders = [Path(django.__file__).parent.joinpath(part) for part in ("conf", "contrib")]
    files = [path for folder in folders for path in folder.rglob("locale/de/LC_MESSAGES/django.mo")]
    texts: list[str] = []
    for path in files:
        with path.open("rb") as catalogue:
            known = catalogues.GNUTranslations(catalogue)._catalog  # type: ignore[attr-defined]
        texts += [(text[0] if isinstance(text, tuple) else text).rpartition("\x04")[2] for text in known]
    return frozenset(texts)


@pytest.fixture
def pseudo(monkeypatch):
    """Every text that is asked for comes in brackets, and has to be one that `makemessages` finds."""
    asked = set()

    def one(message):
        asked.add(message)
        return f"⟦{message}⟧"

    def several(singular, plural, number):
        return one(singular) if number == 1 else one(singular).replace(singular, plural)

    translation.gettext("so that the real one is there to be replaced")
    monkeypatch.setattr(translation._trans, "gettext", one)
    monkeypatch.setattr(translation._trans, "ngettext", several)
    yield
    assert asked - found_by_makemessages() - known_to_django() == set()


@pytest.fixture
def key(key_with):
    """A key with something of everything: limits, usage, refusals, an audit, webhooks on, off and without a scope."""
    key = key_with("leads:read", "leads:write", "calls:read")
    busy = subscribe(
        api_key=key,
        url="https://crm.example/",
        events=["lead.created", "lead.updated", "call.completed"],
        secret="generate",
        rate_limit=60,
        headers={"X-Source": "7"},
        skip_own=True,
    )
    off = subscribe(api_key=key, url="https://crm.example/off", events=["lead.created"])
    failing = subscribe(api_key=key, url="https://crm.example/failing", events=["lead.created"])
    set_scopes(key=key, scopes=["leads:read", "leads:write", "tags:read"])
    set_limits(
        key=key, rate_limit=7, allowed_addresses=["10.0.0.1"], allowed_origins=[], manage_webhooks=True
    )
    used(key, calls=12)
    busy_day(busy)
    turn_off(webhook=off)
    Webhook.objects.filter(pk=failing.pk).update(active=False, off_reason=OffReason.FAILING)
    APIKey.objects.filter(pk=key.pk).update(last_used_address="10.0.0.1")
    RefusedCall.objects.create(
        api_key_id=key.pk, at=key.created_at, method="GET", path="/public/tags", status=403, code="insufficient_scope"
    )  # fmt: skip
    AuditEntry.objects.update(actor_name="Priya Nair")
    key.refresh_from_db()
    return key


def webhook_of(key: APIKey) -> Webhook:
    return Webhook.objects.get(api_key=key, url="https://crm.example/")


LOG = "&key={key}&panel=webhooks&webhook={hook}&do="


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&new=zoho",
        "&new=looker",
        "&q=o",
        "&q=7",
        "&before=1",
        "&key={key}&panel=scopes",
        "&key={key}&panel=usage",
        "&key={key}&confirm=rename",
        "&key={key}&confirm=duplicate",
        "&key={key}&confirm=regenerate",
        "&key={key}&confirm=delete",
        "&key={key}&panel=webhooks",
        "&key={key}&panel=webhooks&webhook=new",
        "&key={key}&panel=webhooks&webhook={hook}",
        f"{LOG}delete",
        f"{LOG}missed",
        f"{LOG}deliveries",
        f"{LOG}deliveries&outcome=cancelled&lead=12",
        f"{LOG}deliveries&before=1",
        f"{LOG}resend",
        f"{LOG}resend&since=24h",
        f"{LOG}resend&since=date",
        f"{LOG}deliveries&delivery={{failed}}",
        f"{LOG}deliveries&delivery={{waiting}}",
    ],
)
def test_no_word_of_a_page_stays_english(desk, key, pseudo, query):
    hook = webhook_of(key)
    states = {each.state: each.pk for each in Delivery.objects.filter(webhook=hook)}
    address = query.format(key=key.pk, hook=hook.pk, **states)
    assert untranslated(desk.client.get(f"{TAB}{address}").content.decode()) == []


SAVED_LIMITS = {"expires": "", "rate_limit": "", "allowed_addresses": "", "allowed_origins": ""}
A_WEBHOOK = {
    "url": "https://crm.example/",
    "events": ["lead.created"],
    "secret_choice": "none",
    "ordering": "none",
}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("keys", {}),
        ("keys", {"name": "zoho PRODUCTION"}),
        ("keys", {"name": "7" * 101}),
        ("keys", {"name": "\u202e7", "expires": "date"}),
        ("keys", {"name": "7", "expires": "date", "expires_on": "1999-01-01"}),
        ("keys", {"name": "7", "expires": "date", "expires_on": "x"}),
        ("keys", {"name": "7", "expires": "x", "scopes": "x"}),
        ("keys/{key}/rename", {"name": "8", "version": 1}),
        ("keys/{key}/rename", {"name": ""}),
        ("keys/{key}/duplicate", {"name": "Zoho production"}),
        ("keys/{key}/regenerate", {}),
        ("keys/{key}/delete", {"typed_name": "8"}),
        ("keys/{key}/deactivate", {}),
        ("keys/{key}/activate", {}),
        ("keys/{key}/scopes", {"version": 1, "scopes": "leads:read"}),
        ("keys/{key}/scopes", {"version": 1, "scopes": "leads:read", "stops_accepted": "x"} | SAVED_LIMITS),
        ("keys/{key}/scopes", {"version": 9, "scopes": "tags:read"} | SAVED_LIMITS),
        ("keys/{key}/scopes", {"version": 9} | SAVED_LIMITS | {"rate_limit": "-1", "allowed_addresses": "7"}),
        ("keys/{key}/scopes", {"version": 9} | SAVED_LIMITS | {"rate_limit": "x", "allowed_origins": "7"}),
        (
            "keys/{key}/scopes",
            {"scopes": "tags:read"} | SAVED_LIMITS | {"allowed_origins": "https://crm.example"},
        ),
        ("keys/{key}/webhooks", {}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"secret_choice": "typed", "secret": "", "events": "note.added"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"secret_choice": "typed", "secret": "7", "rate_limit": "0"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"secret_choice": "typed", "secret": "7" * 300, "headers": "7"}),
        (
            "keys/{key}/webhooks",
            A_WEBHOOK | {"secret_choice": "typed", "secret": " 7" * 16, "headers": "Host: 7"},
        ),
        ("keys/{key}/webhooks", A_WEBHOOK | {"secret_choice": "typed", "secret": "whsec_" + "7" * 30 + "!"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"headers": "7: 7\n7: 7"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"headers": "(7): 7"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"headers": "7: \u20ac"}),
        ("keys/{key}/webhooks", A_WEBHOOK | {"headers": "\n".join(f"{n}: 7" for n in range(11))}),
        *(
            ("keys/{key}/webhooks", A_WEBHOOK | {"url": url})
            for url in (
                *("http://10.0.0.1/", "http://crm.example/", "https://10.0.0.1/", "https://169.254.169.254/"),
                *(
                    "https://7:7@crm.example/",
                    "javascript:7",
                    "https://crm.example/ 7",
                    "https://crm.example/#7",
                ),
                *(
                    "https://crm.example:0/",
                    "https://crm.example:x/",
                    "https://[7]/",
                    "https://0x7/",
                    "https://-7-/",
                ),
                *("https://localhost/", "https://crm.example./", f"https://crm.example/{'7' * 1990}"),
            )
        ),
        ("webhooks/{hook}", A_WEBHOOK | {"version": 1, "base": '{{"url": "7"}}'}),
        ("webhooks/{hook}", A_WEBHOOK | {"version": 2, "url": "https://crm.example/2"}),
        ("webhooks/{hook}/off", {}),
        ("webhooks/{hook}/on", {}),
        ("webhooks/{hook}/missed", {}),
        ("webhooks/{hook}/secret", {}),
        ("webhooks/{hook}/delete", {}),
        ("webhooks/{hook}/resend", {}),
        ("webhooks/{hook}/resend", {"delivery": "{failed}"}),
        ("webhooks/{hook}/resend", {"delivery": "{withheld}"}),
        ("webhooks/{hook}/resend", {"delivery": "999999999"}),
        ("webhooks/{hook}/resend", {"delivery": [str(number) for number in range(201)]}),
        ("webhooks/{hook}/resend-failed", {}),
        ("webhooks/{off}/resend", {"delivery": "{at_off}"}),
        ("webhooks/{off}/missed", {}),
        ("webhooks/999999/off", {"url": "7"}),
    ],
)
def test_no_word_of_an_answer_stays_english(desk, key, request, path, fields):
    hook, off = webhook_of(key), Webhook.objects.get(url="https://crm.example/off")
    ids = {"key": key.pk, "hook": hook.pk, "off": off.pk, "at_off": new_delivery(off).pk}
    ids |= {each.state: each.pk for each in Delivery.objects.filter(webhook=hook)}
    filled = {
        name: value.format(**ids) if isinstance(value, str) else value for name, value in fields.items()
    }
    number = desk.number()
    request.getfixturevalue("pseudo")
    answer = desk.client.post(
        f"/settings/api/{path.format(**ids)}", {"form_number": number, **filled}, follow=True
    )
    assert answer.status_code == 200
    assert untranslated(answer.content.decode()) == []


@pytest.mark.parametrize("address", ["/admin/login/", "/admin/logout/", "/settings?tab=api", "/nothing-here"])
def test_no_word_around_the_pages_stays_english(client, db, pseudo, address):
    client.force_login(User.objects.create_user("7", "7@example.com", "8", name="7", role=Role.AGENT))
    send = client.post if "logout" in address else client.get
    if "login" in address:
        client.logout()
    assert untranslated(send(address).content.decode()) == []


def test_no_word_of_a_login_that_comes_between_stays_english(client, db, pseudo):
    page = client.post("/settings/api/keys", {"name": "7"}).content.decode()
    assert "⟦Your login has ended" in page
    assert untranslated(page) == []


@pytest.mark.parametrize("typed", [{}, {"code": "7"}, {"recovery_code": "7"}, {"password": "8"}])
@pytest.mark.parametrize("do", ["", "confirm", "renew", "off"])
def test_no_word_of_the_second_factors_page_stays_english(desk, priya, request, do, typed):
    request.getfixturevalue("mid_step")
    request.getfixturevalue("pseudo")
    address = "/settings/second-factor"
    page = desk.client.post(address, {"do": do} | typed)
    assert untranslated(page.content.decode()) == []
    key = re.search(r'<pre id="key">([A-Z2-7 ]+)<', desk.see(address))[1].replace(" ", "")
    switched = {
        "do": "confirm",
        "form_number": desk.number(address),
        "password": "correct horse",
        "code": app_code(key),
    }
    for fields in (
        switched,
        switched,
        {},
        {"do": do} | typed,
        {"do": do, "password": "correct horse"} | typed,
    ):
        page = desk.client.post(address, fields, follow=True)
        assert untranslated(page.content.decode()) == []


@pytest.mark.parametrize("typed", [{"code": ""}, {"code": "7"}, {"code": "", "recovery_code": "7"}])
def test_no_word_of_the_logins_second_step_stays_english(client, priya, request, typed):
    with_factor(priya)
    request.getfixturevalue("pseudo")
    for fields in ({"username": "priya", "password": "correct horse"}, *[typed] * 5, {"code": "8"}):
        page = client.post("/admin/login/", fields)
        assert untranslated(page.content.decode()) == []
    assert page.status_code == 200 and "⟦Enter a code⟧" in page.content.decode()
    client.logout()
    assert untranslated(client.post("/admin/login/", {"code": "7"}).content.decode()) == []


def own_words(template: str) -> list[str]:
    """What of a template's own text goes around gettext."""
    classes = r"\{% block (bodyclass|coltype) %\}.*?\{% endblock %\}"
    template = re.sub(classes, "", template, flags=re.DOTALL)
    told = r"\{% blocktranslate.*?\{% endblocktranslate %\}|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}"
    return untranslated(re.sub(told, "", template, flags=re.DOTALL))


@pytest.mark.parametrize("template", sorted((BASE_DIR / "calliyo/pages/templates").rglob("*.html")), ids=str)
def test_no_word_of_a_template_goes_around_gettext(template):
    """The reference's too, whose content, the API's own description, is English as the API is."""
    assert own_words(template.read_text()) == []
    assert own_words("{% if a %}<p>{% translate 'b' %} Forgotten {{ c }}</p>{% endif %}") == ["Forgotten"]


def bare_refusals(source: str, refusals: frozenset[str]) -> list[str]:
    """Texts that these errors are raised with as they stand, not through gettext."""
    raised = (node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise))
    calls = (call for call in raised if isinstance(call, ast.Call) and call.args)
    return [
        ast.unparse(call.args[0])
        for call in calls
        if getattr(call.func, "id", "") in refusals and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    ]


def test_no_refusal_of_a_rule_is_bare_english():
    refusals, found = {DomainError}, set()
    while refusals:
        found |= refusals
        refusals = {each for refusal in refusals for each in refusal.__subclasses__()}
    names = frozenset(refusal.__name__ for refusal in found)
    assert {"DuplicatePhone", "PhoneRefused", "InvalidSecret", "NameTaken"} <= names
    # What reads the catch-up log is a program: its refusals are on no page.
    rooms = (path for app in OURS for path in (BASE_DIR / app).rglob("*.py"))
    paths = [path for path in rooms if path.parent != BASE_DIR / "webhooks" / "feed"]
    assert {path: bare for path in paths if (bare := bare_refusals(path.read_text(), names))} == {}
    assert bare_refusals('raise NameTaken(f"{name} is taken.") from error', names) == ["f'{name} is taken.'"]


def test_the_test_notices_a_word_that_was_forgotten():
    page = (
        "<p>⟦Saved⟧ <b>Forgotten</b> ⟦a ⟦nested⟧ <i>one⟧</i></p><input value='Too' type='submit'>"
        '<a aria-label="Also ⟦x⟧">⟦x⟧</a><code>data</code>'
    )
    assert untranslated(page) == ["Forgotten", "Too", "Also"]


def test_makemessages_finds_literals_of_code_and_of_templates_and_nothing_else():
    assert {"Give the key a name, such as “Zoho production”.", "Create API Key", "%(counter)s webhooks"} <= (
        found_by_makemessages()
    )
    assert "There is no such text" not in found_by_makemessages()
