"""Every method has a page of its own, made of what it says of itself."""

from __future__ import annotations

from html import escape

import pytest

from tests.conftest import Cast
from tests.pages.test_access import browser_of
from workers.methods import METHODS
from workers.methods.options import describe


@pytest.mark.parametrize("name", METHODS)
def test_a_method_tells_its_formula_paper_options_and_cost(cast: Cast, name: str) -> None:
    method = METHODS[name]
    page = browser_of(cast.vera).get(f"/methods/{name}/").content.decode()
    for text in (method.formula, method.paper):
        assert escape(text) in page
    assert all(f">{fact.name}<" in page for fact in describe(method.options))
    assert ("can be merged" in page) == method.mergeable


@pytest.mark.parametrize("name", METHODS)
def test_a_method_tells_what_it_is_for_and_where_it_runs(cast: Cast, name: str) -> None:
    method = METHODS[name]
    page = browser_of(cast.vera).get(f"/methods/{name}/").content.decode()
    for text in (
        method.summary,
        method.choose_when,
        method.inference_cost,
        method.elsewhere,
        method.serving,
        method.shortfall,
    ):
        assert escape(text) in page
    assert ", ".join(method.servable) in page


def test_a_number_without_an_upper_bound_says_or_more(cast: Cast) -> None:
    for name, least in (("last_k", 1), ("intrinsic_dimension", 2)):
        page = browser_of(cast.vera).get(f"/methods/{name}/").content.decode()
        assert f'<td class="nowrap">{least} or more</td>' in page
    assert all("to None" not in browser_of(cast.vera).get(f"/methods/{name}/").content.decode() for name in METHODS)


def test_the_list_leads_to_all_of_them(cast: Cast) -> None:
    page = browser_of(cast.vera).get("/methods/").content.decode()
    assert all(f"/methods/{name}/" in page for name in METHODS)


def test_no_other_method_has_a_page(cast: Cast) -> None:
    assert browser_of(cast.vera).get("/methods/magic/").status_code == 404
