"""How the API reference writes texts of the document: its `code` as code."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_CODE = re.compile(r"`([^`]+)`")


@register.filter
def coded(text: str) -> SafeString:
    """`text` with what stands between backticks as code, its paragraphs apart."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", escape(part)) for part in text.split("\n\n"))
    return mark_safe("<br>".join(" ".join(part.split()) for part in paragraphs))  # noqa: S308  # escaped above
