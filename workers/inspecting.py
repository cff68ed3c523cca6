"""Answers one inspection: fetch what it asks for, run the inspection process, hand in its files and its answer."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from workers.cache import DiskFull
from workers.client import (
    FIRST_PAUSE_SECONDS,
    Claimed,
    SiteRefused,
    SiteUnreachable,
    StaleAttempt,
    next_pause,
    patiently,
)
from workers.ending import Exit, how_it_ended
from workers.fetching import FetchProblem, fetch
from workers.handing_in import NotComplete, as_json, hand_in
from workers.preparing import Fetcher, prepare_inspection
from workers.protocol import InspectionFolder, Timings, Wish
from workers.slots import Held
from workers.station import Station
from workers.supervisor import supervise
from workers.tree import Launch

FETCHED_KINDS = ("starter_base_model", "starter_dataset", "hub_base_model")
PULSE_SECONDS = 1.0


class Problem(Exception):
    """Why there is no answer: code, sentence, and what to do about it."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Dropped(Exception):
    """Nobody waits for this answer here any more: cancelled, stale, or the worker leaves."""


class Pulse:
    """An inspection's heartbeat: sends the newest progress every second. A `supervisor.Line`."""

    def __init__(self, inspection: Claimed, timings: Timings) -> None:
        self._inspection, self._seconds = inspection, min(PULSE_SECONDS, timings.batch_seconds)
        self._text, self._fraction = "", None  # type: tuple[str, float | None]
        self._closing = Event()
        self._answered_at = time.monotonic()
        self._thread = Thread(target=self._run, name="pulse", daemon=True)
        self.wish: Wish = "run"
        self.stale = Event()

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._answered_at

    def tell(self, text: str, fraction: float | None = None) -> None:
        self._text, self._fraction = text, fraction

    def say(self, event: dict[str, Any]) -> None:
        text = event.get("text") or event.get("phase")
        if text:
            self.tell(str(text)[:200])

    def say_line(self, text: str, level: str = "info") -> None:
        """Raw output of an inspection is not progress."""

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._closing.is_set() and not self.stale.is_set():
            try:
                said = self._inspection.post("progress", {"text": self._text, "fraction": self._fraction})
                self._answered_at = time.monotonic()
                self.wish = said.get("wish", "run")
                pause = FIRST_PAUSE_SECONDS
                self._closing.wait(self._seconds)
            except StaleAttempt:
                self.stale.set()
            except (SiteUnreachable, SiteRefused):
                self._closing.wait(pause)
                pause = next_pause(pause)


def inspect(claim: dict[str, Any], held: Held, station: Station) -> None:
    """Answer the question, or hand in the problem. An inspection that was dropped says nothing: its lease runs out."""
    inspection = station.inspection(claim)
    folder = InspectionFolder(station.home.jobs / f"inspection-{claim['inspection']}")
    shutil.rmtree(folder.path, ignore_errors=True)
    try:
        with Pulse(inspection, station.timings) as pulse:
            end = _answer(claim, held, station, inspection, folder, pulse)
            _hand_over(inspection, end, station)
    except Dropped:
        return
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def _hand_over(inspection: Claimed, end: dict[str, Any], station: Station) -> None:
    """An answer that the site does not take becomes a problem: worked out anew, it would be the same."""
    try:
        patiently(lambda: inspection.post("end", end), station.orders.drain.is_set)
    except SiteRefused as error:
        if end["answer"] is None:
            raise
        problem = {"code": "inspection.refused", "message": f"The site did not take the answer: {error}", "hint": ""}
        instead: dict[str, Any] = {"answer": None, "files": [], "problem": problem}
        patiently(lambda: inspection.post("end", instead), station.orders.drain.is_set)


def _answer(
    claim: dict[str, Any],
    held: Held,
    station: Station,
    inspection: Claimed,
    folder: InspectionFolder,
    pulse: Pulse,
) -> dict[str, Any]:
    def dropped() -> bool:
        return pulse.stale.is_set() or pulse.wish == "cancel" or station.orders.drain.is_set()

    limit_seconds = station.timings.cut_off_seconds
    try:
        fetcher = Fetcher(inspection, station.cache, dropped, limit_seconds, pulse.tell)
        prepare_inspection(folder, claim["question"], claim["files"], fetcher)
        _fetch(claim["question"], folder, pulse, dropped)
        answer = _look(folder, held, station, pulse)
        files = hand_in(inspection, folder.output, dropped, limit_seconds)
        return {"answer": answer, "files": as_json(files), "problem": None}
    except (Problem, FetchProblem) as error:
        problem = {"code": error.code, "message": error.message, "hint": error.hint}
    except DiskFull as error:
        problem = {"code": "inspection.disk_full", "message": str(error), "hint": ""}
    except (SiteUnreachable, SiteRefused, NotComplete) as error:
        problem = {"code": "inspection.files", "message": str(error), "hint": "Try again."}
    if dropped():
        raise Dropped
    return {"answer": None, "files": [], "problem": problem}


def _fetch(question: dict[str, Any], folder: InspectionFolder, pulse: Pulse, dropped: Callable[[], bool]) -> None:
    def tell(text: str, fraction: float | None) -> None:
        if dropped():
            raise Dropped
        pulse.tell(text, fraction)

    if question["kind"] in FETCHED_KINDS:
        fetch(question, folder.inputs, tell)


def _look(folder: InspectionFolder, held: Held, station: Station, pulse: Pulse) -> dict[str, Any]:
    launch = Launch(
        command=station.inspect_with(folder.path),
        scratch=folder.scratch,
        mark=str(folder.path),
        writable=folder.made,
        slot=held.own.number,
        threads=station.threads_per_slot,
        cuda_devices=held.cuda_devices,
        lifeline_seconds=station.timings.lease_seconds,
    )
    exit = supervise(launch, pulse, station.timings, station.isolation, station.orders)
    try:
        answer = json.loads(folder.answer.read_text())
    except (OSError, ValueError):
        answer = None
    if exit.returncode != 0 or not isinstance(answer, dict):
        raise _problem(exit)
    if problem := answer.get("problem"):
        raise Problem(**problem)
    return answer


def _problem(exit: Exit) -> Problem:
    ending = how_it_ended(exit)
    detail = ending.detail.get("hint")
    hint = str(detail) if detail else "Look at the worker's log, then try again."
    sentence = "Looking at it ended without an answer." if ending.reason == "no_output" else ending.sentence or ""
    return Problem(f"inspection.{ending.reason or 'no_answer'}", sentence, hint)
