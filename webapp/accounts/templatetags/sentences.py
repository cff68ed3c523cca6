"""Sentences of verbs and workers on a page: `names in backticks` become code, everything else stays plain text."""

from __future__ import annotations

import re
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
TICKED = re.compile(r"`([^`\n]{1,200})`")


@register.filter
def said(sentence: Any) -> SafeString:
    """Escaped first, then marked up: nothing a person or a file says is ever markup."""
    return mark_safe(TICKED.sub(r"<code>\1</code>", escape("" if sentence is None else sentence)))  # noqa: S308
