"""Configure → Scopes: nine resources, saved as ticked, never over somebody else's change, never silently stopping."""

import re

from apikeys.models import APIKey
from apikeys.operations import set_scopes
from apikeys.scopes import Scope
from tests.calliyo.conftest import TAB, text_of
from webhooks.operations import subscribe

PRODUCT_PAGE = [
    ("Leads", "leads:read", "leads:write"),
    ("Customers", "customers:read", None),
    ("Users / Agents", "users:read", None),
    ("Lead statuses", "lead-statuses:read", None),
    ("Tags", "tags:read", "tags:write"),
    ("Follow-ups", "follow-ups:read", "follow-ups:write"),
    ("Notes", "notes:read", "notes:write"),
    ("Call history", "calls:read", None),
    ("Campaigns", "campaigns:read", None),
]


def ticked(page):
    return re.findall(r'name="scopes" value="([^"]+)" checked', page)


def test_the_table_is_the_product_pages(desk, key_with):
    key = key_with("tags:read")
    page = desk.see(f"{TAB}&key={key.pk}&panel=scopes")
    table = page[
        page.index('<table class="scopes">') : page.index("</table>", page.index('<table class="scopes">'))
    ]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    told = []
    for row in rows:
        read, write = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
        values = [re.search(r'value="([^"]+)"', cell) for cell in (read, write)]
        assert ("—" in write) == (values[1] is None)
        title = re.search(r'<th scope="row">(.*?)<', row)[1]
        told.append((title, *(value and value[1] for value in values)))
    assert told == PRODUCT_PAGE
    assert ticked(page) == ["tags:read"]
    assert "Can see tags." in page


def test_ticks_are_saved_and_said(desk, key_with):
    key = key_with("tags:read")
    response = desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=["notes:write", "leads:read"])
    assert response["Location"] == f"{TAB}&key={key.pk}&panel=scopes"
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "notes:write"]
    page = desk.see(response["Location"])
    assert ">Saved<" in page
    assert ticked(page) == ["leads:read", "notes:write"]


def test_no_tick_at_all_is_no_access(desk, key_with):
    key = key_with("tags:read")
    desk.send(f"keys/{key.pk}/scopes", version=key.version)
    key.refresh_from_db()
    assert key.scopes == []
    assert "Can do nothing" in desk.see(f"{TAB}&key={key.pk}")


def test_a_scope_that_is_none_is_refused_and_the_ticks_are_kept(desk, key_with):
    key = key_with("tags:read")
    response = desk.send(
        f"keys/{key.pk}/scopes", version=key.version, scopes=["leads:read", "customers:write"]
    )
    assert response.status_code == 200
    assert ticked(text_of(response)) == ["leads:read"]
    key.refresh_from_db()
    assert key.scopes == ["tags:read"]


def test_who_comes_second_is_told_and_overwrites_nothing(desk, key_with):
    key = key_with("tags:read")
    opened = key.version
    set_scopes(key=key, scopes=["tags:read", "calls:read"])
    response = desk.send(f"keys/{key.pk}/scopes", version=opened, scopes=["leads:read"])
    assert response.status_code == 200
    page = text_of(response)
    assert "was changed since you opened it" in page
    assert re.search(r"<b>Calliyo</b> changed what the key can do: added Call history read ·", page)
    assert ticked(page) == ["leads:read"]
    key.refresh_from_db()
    assert key.scopes == ["tags:read", "calls:read"]
    desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=["leads:read"])
    key.refresh_from_db()
    assert key.scopes == ["leads:read"]


def test_unticking_what_a_webhook_needs_says_which_events_stop_before_it_does(desk, key_with):
    key = key_with("leads:read", "calls:read")
    subscribe(api_key=key, url="https://crm.example/hook", events=["lead.created", "call.completed"])
    response = desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=["calls:read"])
    assert response.status_code == 200
    page = text_of(response)
    assert "lead.created will stop at https://crm.example/hook." in page
    assert "Not saved yet" in page
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "calls:read"]
    mark = re.search(r'name="stops_accepted" value="(\w+)"', page)[1]
    desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=["calls:read"], stops_accepted=mark)
    key.refresh_from_db()
    assert key.scopes == ["calls:read"]
    assert "Scope missing" in desk.see()


def test_accepting_one_stop_does_not_accept_another(desk, key_with):
    key = key_with("leads:read", "calls:read")
    subscribe(api_key=key, url="https://crm.example/hook", events=["lead.created", "call.completed"])
    page = text_of(desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=["calls:read"]))
    mark = re.search(r'name="stops_accepted" value="(\w+)"', page)[1]
    response = desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=[], stops_accepted=mark)
    assert response.status_code == 200
    key.refresh_from_db()
    assert key.scopes == ["leads:read", "calls:read"]


def test_the_words_follow_ticks_that_are_not_saved(desk, key_with):
    key = key_with()
    scopes = "&".join(f"scopes={scope}" for scope in ("leads:write", "nonsense"))
    words = desk.see(f"/settings/api/keys/{key.pk}/scopes/in-words?{scopes}")
    assert "Can add leads without seeing any." in words
    assert APIKey.objects.get().scopes == []


def test_every_scope_can_be_ticked(desk, key_with):
    key = key_with()
    desk.send(f"keys/{key.pk}/scopes", version=key.version, scopes=[scope.value for scope in Scope])
    key.refresh_from_db()
    assert key.scopes == [scope.value for scope in Scope]
    assert "Everything, read and write" in desk.see()
