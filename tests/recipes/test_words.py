"""The recipes speak the Settings page's words and the API's codes."""

import re

import pytest

from calliyo.pages.api_tab.config_form import ConfigForm
from calliyo.pages.api_tab.webhook_form import WebhookForm, _secret_choices
from tests.pages import DOCS, RECIPES, Page
from tests.processes import ROOT

PAGES = [Page(str(path.relative_to(DOCS))) for path in RECIPES]
WRITTEN = [*PAGES, *(Page(name) for name in ("quick-start.md", "sync.md", "catch-up.md", "webhooks.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
each_document = pytest.mark.parametrize("page", WRITTEN, ids=[page.path.stem for page in WRITTEN])


@each_page
def test_it_names_the_scopes_to_tick_and_what_goes_wrong(page):
    assert page.scopes()
    assert "## What goes wrong" in page.text
    assert (ROOT / "tests" / "recipes" / f"test_{page.path.stem}.py").exists()


@each_page
def test_what_it_says_to_tick_is_on_the_settings_page(page):
    labels = {
        "Allowed origins": ConfigForm.base_fields["allowed_origins"].label,
        "May manage webhooks of its own through the API": ConfigForm.base_fields["manage_webhooks"].label,
        "Skip the changes that this key made itself": WebhookForm.base_fields["skip_own"].label,
        "Generate": " ".join(str(label) for _, label in _secret_choices(has_secret=False)),
    }
    for words in re.findall(r"(?<!\*)\*([^*\n|]+)\*(?!\*)", page.text):
        for said, label in labels.items():
            if words.startswith(said[:15]):
                assert words in str(label)


@each_document
def test_the_codes_that_it_names_are_the_apis(page):
    source = "\n".join(
        path.read_text()
        for folder in ("apikeys", "calliyo", "leads", "webhooks")
        for path in (ROOT / folder).rglob("*.py")
    )
    for status, code in re.findall(r"`([45]\d\d) ([a-z_]+)`", page.text):
        assert f'"{code}"' in source, (status, code)
