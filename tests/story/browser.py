"""A real Chromium that writes down everything a page must not do: errors, policy violations, foreign requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

from launcher.testing import find_chromium

SCREENSHOTS = Path(__file__).resolve().parent.parent / "screenshots"
WATCH_POLICY = (
    "window.__violations = []; document.addEventListener('securitypolicyviolation',"
    " e => window.__violations.push(e.effectiveDirective + ' ' + e.blockedURI))"
)
SCROLL = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 800) {
        scrollTo(0, y);
        await new Promise(later => setTimeout(later, 50));
    }
    scrollTo(0, 0);
}"""
"""Charts are drawn when they come near view."""
WIDE, NARROW = 1280, 390
ABANDONED = ("htmx:sendAbort", "htmx:afterRequest")
"""htmx calls it an error when a newer keystroke or a new page abandons a request; it is the plan."""


@dataclass
class Browser:
    """One page, and what went wrong on it."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def look(self, name: str) -> None:
        """Screenshots of this page, light and dark, each wide and narrow, for people to look at; and axe's word."""
        self._show(name, ours=True, light=(WIDE, NARROW), dark=(WIDE, NARROW))

    def glance(self, name: str, ours: bool = True) -> None:
        """Two screenshots, light and wide, dark and narrow; of our own pages axe's word in both themes."""
        self._show(name, ours, light=(WIDE,), dark=(NARROW,))

    def _show(self, name: str, ours: bool, **widths: tuple[int, ...]) -> None:
        """Without motion: half-way between two colours no contrast is right."""
        SCREENSHOTS.mkdir(exist_ok=True)
        for theme, each in widths.items():
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            for width in each:
                self.page.set_viewport_size({"width": width, "height": 900})
                self.page.evaluate(SCROLL)
                self.page.wait_for_timeout(200)
                word = "wide" if width == WIDE else "narrow"
                self.page.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{word}.png", full_page=True)
            if ours:
                self._judge(f"{name}, {theme}")
        self.page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        self.page.set_viewport_size({"width": WIDE, "height": 900})

    def _judge(self, where: str) -> None:
        self.faults += [f"{where}: {violation}" for violation in self._violations()]

    def _violations(self) -> list[str]:
        """Of accessibility, by axe-core; each with the places that have it."""
        found = Axe().run(self.page).response["violations"]
        return [f"axe {each['id']}: {[node['html'][:200] for node in each['nodes'][:5]]}" for each in found]

    def hear(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not said.text.startswith(ABANDONED):
            self.faults.append(f"console: {said.text}")

    def watch(self, sent: Request) -> None:
        """Only our own site is ever asked."""
        if not sent.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"foreign: {sent.url}")

    @contextmanager
    def elsewhere(self, url: str) -> Iterator[Browser]:
        """The same browser at another site, as somebody who has never been there."""
        chromium = self.page.context.browser
        assert chromium
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        yield Browser(context.new_page(), url)
        context.close()

    def complain(self) -> None:
        """Fail if anything went wrong so far."""
        found = self.faults + self.page.evaluate("window.__violations")
        self.faults.clear()
        assert found == [], "\n".join(found)


@contextmanager
def browsing(url: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        page = context.new_page()
        browser = Browser(page, url)
        page.add_init_script(WATCH_POLICY)
        page.on("pageerror", lambda error: browser.faults.append(f"script: {error}"))
        page.on("console", browser.hear)
        page.on("request", browser.watch)
        try:
            yield browser
        finally:
            chromium.close()
