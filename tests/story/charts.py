"""How stories look at a job page's charts: which points are drawn, when, and what the live stream does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.story.browser import Browser
from tests.story.stack import Stack

NOTE_DRAWING = """() => {
    window.__drawn = [];
    const react = Plotly.react;
    Plotly.react = (plot, ...rest) => {
        if (plot.closest('[data-chart="loss"]')) __drawn.push(performance.now());
        return react(plot, ...rest);
    };
}"""
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def job_of(stack: Stack, name: str) -> int:
    return int(next(job["id"] for job in stack.api("get", "jobs").json()["items"] if job["name"] == name))


def card(page: Page, name: str) -> Any:
    return page.locator(f'[data-chart="{name}"]')


def open_job(browser: Browser, stack: Stack, name: str, query: str = "") -> Page:
    browser.page.goto(f"{browser.url}/jobs/{job_of(stack, name)}/{query}")
    return browser.page


def drawn(page: Page, name: str = "loss") -> Any:
    """A chart's plotly state, once it is drawn."""
    place = f'[data-chart="{name}"] .js-plotly-plot'
    card(page, name).scroll_into_view_if_needed()
    page.wait_for_function("place => document.querySelector(place)?.data?.length > 0", arg=place, timeout=60_000)
    return page.evaluate(
        f"""(() => {{ const plot = document.querySelector('{place}');
        return {{texts: (plot.layout.annotations ?? []).map(a => a.text), uids: plot.data.map(t => t.uid),
                 y: plot.layout.yaxis, x: plot.layout.xaxis, last: plot.data.at(-1).x.at(-1)}} }})()"""
    )


def continue_running(stack: Stack, first: int, last: int, verb: str = "continue_running") -> None:
    stack.manage("shell", "-v", "0", "-c", f"from tests.story import curves; curves.{verb}({first}, {last})")


def newest_step(stack: Stack) -> int:
    return int(stack.job(job_of(stack, "running"))["progress"]["step"])


def shows_step(page: Page, step: int) -> None:
    until = "step => document.querySelector('[data-chart=\"loss\"] .js-plotly-plot')?.data?.[0]?.x?.at(-1) === step"
    page.wait_for_function(until, arg=step, timeout=30_000)


@contextmanager
def streaming(stack: Stack, job: int) -> Iterator[int]:
    """One more live stream of a program, held open; its status."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    with httpx.stream("GET", f"{stack.url}/api/v1/jobs/{job}/events?after=0", headers=headers, timeout=30) as answer:
        yield answer.status_code


def both_places_free(stack: Stack, job: int) -> bool:
    with streaming(stack, job) as first, streaming(stack, job) as second:
        return (first, second) == (200, 200)


def drawn_places(page: Page) -> list[float]:
    """Where the points of the loss stand."""
    return list(page.evaluate("Array.from(document.querySelector('[data-chart=\"loss\"] .js-plotly-plot').data[0].x)"))
