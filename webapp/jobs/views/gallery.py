"""The gallery: every state of a chart and every part of a page in one place, for whoever works on the look."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from webapp.accounts.context import signed_in
from webapp.accounts.permissions import NotAllowed
from webapp.accounts.templatetags.icons import SHAPES
from webapp.errors import shows_refusals
from webapp.jobs.figures import SMOOTHING, Chart, Line
from webapp.jobs.templatetags.badges import ENDS, PHASES, Shown

STEPS = 60
MORE_BADGES = (
    Shown("held", "bars", "Stopping"),
    Shown("warn", "warn", "Lost worker"),
    Shown("busy", "disc", "Running 62 %"),
)


@dataclass(frozen=True)
class Card:
    """A chart in one state: what the server would have answered, or that it has not, or failed."""

    title: str
    chart: Chart
    told: dict[str, Any]

    @property
    def script_id(self) -> str:
        return f"told-{self.chart.name}"


@shows_refusals
def gallery(request: HttpRequest) -> HttpResponse:
    """For the site's admins: it shows nothing of anybody's data, and nobody else needs it."""
    if not signed_in(request).is_superuser:
        raise NotAllowed("site admin")
    badges = [*ENDS.values(), *PHASES.values(), *MORE_BADGES]
    return render(request, "jobs/gallery.html", {"cards": _cards(), "badges": badges, "icons": sorted(SHAPES)})


def _cards() -> list[Card]:
    curve, clone = _history(STEPS), {"url": reverse("jobs:new"), "label": "Clone with an eval split"}
    absent = {"words": "No eval set was chosen, so there is no eval loss.", **clone}
    succeeded = {"words": "succeeded", "colour": "--good-text", "why": ""}
    failed = {"words": "failed", "colour": "--bad-text", "why": "Out of GPU memory at step 60."}
    odd = {"loss": [{"step": 31, "value": "NaN", "epoch": 0.31, "time": 31.0, "tokens": None}]}
    return [
        Card("Drawn, running", _chart("drawn"), {"history": curve}),
        Card("Loading", _chart("loading"), {"never": True}),
        Card("Waiting for the first point", _chart("waiting"), {"history": _history(0)}),
        Card("Empty by config", replace(_chart("by-config"), absent=absent), {"history": _history(0)}),
        Card("Empty by axis", _chart("by-axis"), {"history": curve, "axis": "tokens"}),
        Card("One point", _chart("one-point"), {"history": _history(1)}),
        Card("Error", _chart("error"), {"failed": "ref 7F3A"}),
        Card("A value that is no number", _chart("odd"), {"history": {**curve, "not_finite": odd}}),
        Card("Ended well", replace(_chart("succeeded"), wide=True), {"history": curve, "ending": succeeded}),
        Card("Ended badly", replace(_chart("failed"), wide=True), {"history": curve, "ending": failed}),
    ]


def _chart(name: str) -> Chart:
    help = "What to look for stands here."
    return Chart(f"gallery-{name}", "Loss", "", help, (Line("loss", "train", smooth=True),), log_url="#")


def _history(steps: int) -> dict[str, Any]:
    """As the API answers, for a loss that falls."""
    places = list(range(1, steps + 1))
    values = [round(0.5 + 2 * math.exp(-step / 20) + 0.05 * math.sin(step), 4) for step in places]
    columns = {name: {"loss": values} for name in ("series", "min", "max", "smooth")} if steps else {}
    return {
        "step": places,
        "epoch": [step / 100 for step in places],
        "time": [float(step) for step in places],
        "tokens": [None for _ in places],
        **({name: {} for name in ("series", "min", "max", "smooth")} | columns),
        "smoothing": {"weight": SMOOTHING, "state": {"loss": [0.0, 0.0]}},
        "attempts": [],
        "discarded": [],
        "not_finite": {},
        "marks": [],
        "cursor": 0,
    }
