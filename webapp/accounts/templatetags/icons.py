"""Inline icons: plain strokes on a 24-unit grid, hidden from screen readers since a word always stands beside."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_DISC = '<circle cx="12" cy="12" r="8" fill="currentColor" stroke="none"/>'
SHAPES = {
    "queue": '<path d="M4 6h16M4 12h16M4 18h10"/>',
    "jobs": '<path d="M3 17l5-6 4 4 4-8 5 5"/><path d="M3 21h18"/>',
    "study": '<path d="M4 20V10M10 20V4M16 20v-8M22 20H2"/>',
    "dataset": '<ellipse cx="12" cy="5" rx="8" ry="3"/><path d="M4 5v14c0 1.7 3.6 3 8 3s8-1.3 8-3V5'
    'M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3"/>',
    "model": '<path d="M12 2l9 5v10l-9 5-9-5V7z"/><path d="M3 7l9 5 9-5M12 12v10"/>',
    "artifact": '<path d="M4 8h16v12H4zM2 4h20v4H2zM10 12h4"/>',
    "worker": '<rect x="5" y="5" width="14" height="14" rx="2"/><path d="M9 9h6v6H9zM9 1v4M15 1v4M9 19v4M15 19v4'
    'M1 9h4M1 15h4M19 9h4M19 15h4"/>',
    "team": '<circle cx="9" cy="8" r="4"/><path d="M2 21c0-4 3-7 7-7s7 3 7 7M16 4.5a4 4 0 010 7'
    'M18 14.5c2.5 1 4 3.5 4 6.5"/>',
    "bell": '<path d="M6 16V10a6 6 0 0112 0v6l2 2H4zM10 21h4"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "download": '<path d="M12 3v12M7 11l5 5 5-5M4 21h16"/>',
    "upload": '<path d="M12 16V4M7 8l5-5 5 5M4 21h16"/>',
    "copy": '<rect x="8" y="8" width="12" height="12" rx="2"/><path d="M16 8V4H4v12h4"/>',
    "search": '<circle cx="11" cy="11" r="7"/><path d="M16 16l5 5"/>',
    "sun": '<circle cx="12" cy="12" r="4"/><path d="M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19'
    "M5 19l1.5-1.5"
    'M17.5 6.5L19 5"/>',
    "moon": '<path d="M20 14A8.5 8.5 0 0110 4a8.5 8.5 0 1010 10z"/>',
    "screen": '<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 21h8M12 16v5"/>',
    "out": '<path d="M10 4H4v16h6M15 8l4 4-4 4M9 12h10"/>',
    "pin": '<path d="M9 3h6l-1 7 4 4H6l4-4zM12 14v7"/>',
    "up": '<path d="M6 15l6-6 6 6"/>',
    "down": '<path d="M6 9l6 6 6-6"/>',
    "info": '<circle cx="12" cy="12" r="9"/><path d="M12 11v6M12 7v.5"/>',
    "key": '<circle cx="8" cy="15" r="5"/><path d="M12 11l8-8M16 7l3 3"/>',
    "table": '<rect x="3" y="4" width="18" height="16" rx="1"/><path d="M3 10h18M10 4v16"/>',
    "dots": '<path d="M5 12h.01M12 12h.01M19 12h.01" stroke-width="3"/>',
    "eye": '<path d="M2 12c4-7 16-7 20 0-4 7-16 7-20 0z"/><circle cx="12" cy="12" r="3"/>',
    "eye_off": '<path d="M2 12c4-7 16-7 20 0-4 7-16 7-20 0zM4 20L20 4"/>',
    "ring": '<circle cx="12" cy="12" r="8"/>',
    "clock": '<circle cx="12" cy="12" r="9"/><path d="M12 6v6l4 3"/>',
    "quarter": '<circle cx="12" cy="12" r="8"/><path d="M12 12V4a8 8 0 018 8z" fill="currentColor" stroke="none"/>',
    "disc": _DISC,
    "half": '<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 010 16z" fill="currentColor" stroke="none"/>',
    "bars": '<path d="M8 5v14M16 5v14" stroke-width="4"/>',
    "tick": '<path d="M4 13l5 5L20 6"/>',
    "warn": '<path d="M12 3l10 18H2z"/><path d="M12 10v5M12 18v.5"/>',
    "cross": '<path d="M5 5l14 14M19 5L5 19"/>',
    "barred": '<circle cx="12" cy="12" r="9"/><path d="M6 18L18 6"/>',
}
SMALL = frozenset({"tick", "cross", "bars", "warn", "clock", "ring", "quarter", "half", "barred"})
"""Drawn at 12 px in badges, so with a heavier stroke."""


@register.simple_tag
def icon(name: str) -> SafeString:
    """An inline SVG in the text's colour."""
    width = "2.6" if name in SMALL else "1.8"
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="{}" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{}</svg>',
        width,
        mark_safe(SHAPES[name]),  # noqa: S308  (our own constants)
    )


@register.simple_tag
def brand_mark() -> SafeString:
    """The delta of the name, with the small part that is trained filled in."""
    return mark_safe(
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round" '
        'aria-hidden="true"><path d="M12 3l9.5 18h-19z"/>'
        '<path d="M12 12l4.7 9h-9.4z" fill="currentColor" stroke="none"/></svg>'
    )
