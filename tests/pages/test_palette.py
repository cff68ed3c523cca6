"""Contrast of every colour that carries meaning, read from the style sheet, in both themes (WCAG 2.2 AA)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).resolve().parents[2] / "static/css/tokens.css").read_text()
THEMES = {
    "light": ":root {",
    "dark": ':root[data-theme="dark"] {',
    "dark by system": ':root:not([data-theme="light"]) {',
}


def tokens(theme: str) -> dict[str, str]:
    block = SHEET.split(THEMES[theme], 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9A-Fa-f]{6});", block))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_reaches_4_5_on_page_and_card(theme: str) -> None:
    colours = tokens(theme)
    for text in ("text", "muted", "accent"):
        for ground in ("bg", "card", "hover"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_badges_and_notices_reach_4_5(theme: str) -> None:
    colours = tokens(theme)
    for kind in ("idle", "busy", "held", "good", "warn", "bad"):
        assert contrast(colours[f"{kind}-text"], colours[f"{kind}-fill"]) >= 4.5, kind
        assert contrast(colours["text"], colours[f"{kind}-fill"]) >= 4.5, kind


@pytest.mark.parametrize("theme", THEMES)
def test_traces_and_controls_reach_3_on_cards(theme: str) -> None:
    colours = tokens(theme)
    for name in [*(f"trace-{slot}" for slot in range(1, 9)), "ctrl", "axis"]:
        assert contrast(colours[name], colours["card"]) >= 3, name


def test_both_dark_lists_are_the_same() -> None:
    assert tokens("dark") == tokens("dark by system")
