"""The delta methods in words: one list, and a page for each, read off what the methods say of themselves."""

from __future__ import annotations

from itertools import groupby

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from workers.methods import METHODS
from workers.methods.method import Method
from workers.methods.options import describe

FAMILIES = {
    "reparameterization": "Reparameterization: a small change of the weights, which can be merged away",
    "addition": "Addition: new small parts beside the frozen ones",
    "specification": "Specification: a few of the model's own weights",
    "full": "Full fine-tuning: the yardstick",
}


def method_list(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/methods.html", {"groups": by_family()})


def by_family() -> list[tuple[str, list[Method]]]:
    """Every method, each family under its words."""
    ordered = sorted(METHODS.values(), key=lambda method: list(FAMILIES).index(method.family))
    return [(FAMILIES[family], list(group)) for family, group in groupby(ordered, key=lambda each: each.family)]


def method_page(request: HttpRequest, name: str) -> HttpResponse:
    """One method: what it does, its formula and paper, its options, what it costs, when to choose it."""
    method = METHODS.get(name)
    if method is None:
        raise Http404
    return render(request, "jobs/method.html", {"method": method, "facts": describe(method.options)})
