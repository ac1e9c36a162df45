"""What templates ask of the frame."""

import pytest

from calliyo.templatetags.frame import breakable


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            "https://flow.zoho.example/calliyo/leads?of=7&b",
            ["https://flow.zoho.example", "/calliyo", "/leads", "?of=7", "&amp;b"],
        ),
        ("https://thief.example/", ["https://thief.example/"]),
        ("http://n8n:5678", ["http://n8n:5678"]),
        ("https://a.example/<b>//", ["https://a.example", "/&lt;b&gt;", "//"]),
    ],
)
def test_a_url_breaks_before_the_parts_of_its_path_and_is_escaped(url, parts):
    assert breakable(url) == "<wbr>".join(parts)
