"""A claimed job on a worker, against the plain reference site: what the site gets, and what the worker keeps."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.workers.conftest import toy_command, until
from tests.workers.reference_site import CONFIG, ROWS, SPEC, ReferenceSite, ref
from workers import tasks
from workers.celery import app
from workers.keeping import Kept
from workers.protocol import ATTEMPT_VARIABLE, JobFolder, WorkerReport
from workers.station import Station

Trains = Callable[[str], None]


@pytest.fixture
def trains(station: Station) -> Trains:
    """Says which toy trainer runs."""

    def choose(mode: str) -> None:
        station.train_with = station.inspect_with = toy_command(mode)

    return choose


def work(station: Station) -> None:
    """What one permit makes the worker do; leaves no folder and no process."""
    app.station = station
    tasks.run_next_job()
    assert list(station.home.jobs.iterdir()) == []
    assert not any(_mark(process).startswith(str(station.home.path)) for process in psutil.process_iter())


def _mark(process: psutil.Process) -> str:
    try:
        return process.environ().get(ATTEMPT_VARIABLE, "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""


@contextmanager
def working(station: Station) -> Iterator[None]:
    """The worker works while the block looks on."""
    thread = threading.Thread(target=work, args=(station,), daemon=True)
    thread.start()
    yield
    thread.join(25)
    assert not thread.is_alive()


def test_a_job_from_claim_to_artifact(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("good")
    attempt = site.offer(7)
    work(station)
    assert attempt.acked
    assert attempt.end is not None
    assert (attempt.end["outcome"], attempt.end["reason"]) == ("succeeded", None)
    assert [event["seq"] for event in attempt.events] == list(range(1, attempt.end["last_seq"] + 1))
    assert [event["step"] for event in attempt.events if event["kind"] == "metrics"] == list(range(1, 21))
    handed_in = [checkpoint["step"] for checkpoint in attempt.checkpoints]
    # A newer one takes the place of one that still waits, and the last is not waited for: the artifact is there.
    assert handed_in in ([10], [20], [10, 20])
    assert [file["name"] for file in attempt.artifacts[0]["files"]] == ["manifest.json", "weights.safetensors"]
    assert "100%" in attempt.end["log_tail"]


def test_one_permit_works_until_nothing_waits(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("good")
    attempts = [site.offer(1), site.offer(2)]
    work(station)
    assert [attempt.end and attempt.end["outcome"] for attempt in attempts] == ["succeeded", "succeeded"]


def test_inputs_are_laid_out_once_and_read_only(site: ReferenceSite, station: Station) -> None:
    seen: list[Any] = []

    def look(folder: Path) -> tuple[str, ...]:
        rows, config = folder / "rows.jsonl", folder / "base_model" / "config.json"
        seen.append((rows.read_bytes(), config.read_bytes(), oct(rows.stat().st_mode)[-3:], rows.stat().st_ino))
        return ("true",)

    station.train_with = look
    site.offer(1)
    work(station)
    site.inputs.clear()  # the second one must come from the cache
    attempt = site.offer(2)
    work(station)
    assert seen[0] == seen[1]
    assert seen[0][:3] == (ROWS, CONFIG, "444")
    assert attempt.end is not None
    assert attempt.end["reason"] == "no_output"


def test_a_resume_finds_its_checkpoint(site: ReferenceSite, station: Station) -> None:
    content = {"manifest.json": b"{}", "sub/weights.safetensors": b"weights"}
    files = [ref(name, each) for name, each in content.items()]
    site.inputs |= {file.sha256: content[file.name] for file in files}
    listed = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in files]
    found: dict[str, bytes] = {}

    def look(folder: Path) -> tuple[str, ...]:
        step = JobFolder(folder).checkpoints / "step-00000050"
        found.update({name: (step / name).read_bytes() for name in content})
        return ("true",)

    station.train_with = look
    attempt = site.offer(1, checkpoint={"step": 50, "files": listed})
    work(station)
    assert found == content
    assert attempt.checkpoints == []  # it is not handed in again


@pytest.mark.fault(38)
def test_cancel_ends_a_running_job(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("stubborn")
    attempt = site.offer(1)
    with working(station):
        until(lambda: len(attempt.events) >= 2)
        attempt.wish = "cancel"
    assert attempt.end is not None
    assert (attempt.end["outcome"], attempt.end["reason"]) == ("cancelled", "cancelled_by_user")


@pytest.mark.fault(6)
def test_a_stale_attempt_writes_nothing_more(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("stubborn")
    attempt = site.offer(1)
    with working(station):
        until(lambda: len(attempt.events) >= 2)
        attempt.stale = True
    assert attempt.end is None


def test_a_drain_hands_the_job_back_with_its_checkpoint(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("obeying")
    attempt = site.offer(1)
    site.offer(2)
    with working(station):
        until(lambda: len(attempt.events) > 3)
        station.orders.leave()
    assert attempt.end is not None
    assert (attempt.end["outcome"], attempt.end["reason"]) == ("released", "drained")
    assert len(attempt.checkpoints) == 1
    assert len(site.waiting) == 1  # and takes no other


def test_a_killed_trainer_still_hands_in_what_it_saved(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("killed")
    attempt = site.offer(1)
    work(station)
    assert attempt.end is not None
    assert attempt.end["reason"] == "trainer_killed"
    assert [checkpoint["step"] for checkpoint in attempt.checkpoints] == [1]


@pytest.mark.fault(61)
def test_an_outage_of_the_site_loses_nothing(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("good")
    site.offer(1)
    work(station)  # now the inputs are here
    attempt = site.offer(2)
    with working(station):
        until(lambda: attempt.acked)
        site.down = True
        until(lambda: any(station.home.jobs.glob("*/made/artifact/manifest.json")))
        site.down = False
    assert attempt.end is not None
    assert attempt.end["outcome"] == "succeeded"
    assert [event["seq"] for event in attempt.events] == list(range(1, len(attempt.events) + 1))


def test_an_event_that_the_site_refuses_spoils_no_other(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("good")
    attempt = site.offer(1)
    attempt.refused = '"step": 13'
    work(station)
    assert attempt.end is not None
    assert attempt.end["outcome"] == "succeeded"
    assert [event["step"] for event in attempt.events if event["kind"] == "metrics"] == [
        step for step in range(1, 21) if step != 13
    ]
    assert [event["seq"] for event in attempt.events] == list(range(1, len(attempt.events) + 1))


def test_a_missing_input_fails_with_a_sentence(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("good")
    site.inputs.clear()
    attempt = site.offer(1)
    work(station)
    assert attempt.end is not None
    assert attempt.end["reason"] == "storage_unreachable"
    assert "could not be fetched" in attempt.end["sentence"]


ANSWER = 'import sys, pathlib; f = pathlib.Path(sys.argv[1], "made"); (f / "output" / "a.json").write_text("{}"); '


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (ANSWER + '(f / "answer.json").write_text(\'{"rows": 3}\')', {"answer": {"rows": 3}, "problem": None}),
        (
            ANSWER + '(f / "answer.json").write_text(\'{"problem": {"code": "c", "message": "m", "hint": "h"}}\')',
            {"answer": None, "problem": {"code": "c", "message": "m", "hint": "h"}},
        ),
    ],
)
def test_an_inspection_is_answered(
    site: ReferenceSite, station: Station, script: str, expected: dict[str, Any]
) -> None:
    station.inspect_with = lambda folder: (sys.executable, "-c", script, str(folder))
    question = {"kind": "base_model_shape"}
    inspection = site.offer_inspection(5, question, [ref("config.json", CONFIG)])
    work(station)
    assert inspection.end is not None
    assert {name: inspection.end[name] for name in expected} == expected
    assert [file["name"] for file in inspection.end["files"]] == (["a.json"] if expected["answer"] else [])


def test_an_inspection_that_dies_leaves_a_problem(site: ReferenceSite, station: Station, trains: Trains) -> None:
    trains("killed")
    inspection = site.offer_inspection(5, {"kind": "base_model_shape"}, [])
    work(station)
    assert inspection.end is not None
    assert inspection.end["problem"]["code"] == "inspection.trainer_killed"


def test_hello_tells_the_site_what_this_worker_is(site: ReferenceSite, station: Station) -> None:
    station.hello()
    report = site.hellos[0]
    assert set(report) == set(WorkerReport.__dataclass_fields__)
    assert report["isolation"] == station.isolation.as_json()
    site.answer_hello = {"drain": True}
    station.hello()
    site.offer(1)
    work(station)
    assert len(site.waiting) == 1


def resumable(site: ReferenceSite, step: int, content: bytes) -> dict[str, Any]:
    """A checkpoint that the site offers, as part of a claim."""
    file = ref("manifest.json", content)
    site.inputs[file.sha256] = content
    return {"step": step, "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256}]}


@pytest.mark.fault(49)
@pytest.mark.parametrize("stored", [b"damaged", None])
def test_a_checkpoint_that_is_damaged_at_the_site_is_named(
    site: ReferenceSite, station: Station, trains: Trains, stored: bytes | None
) -> None:
    trains("good")
    checkpoint = resumable(site, 50, b"{}")
    if stored is None:
        del site.inputs[checkpoint["files"][0]["sha256"]]
    else:
        site.inputs[checkpoint["files"][0]["sha256"]] = stored
    attempt = site.offer(1, checkpoint=checkpoint)
    work(station)
    assert attempt.end is not None
    assert (attempt.end["reason"], attempt.end["detail"]) == ("checkpoint_unreadable", {"step": 50})
    assert "The checkpoint at step 50 could not be read" in attempt.end["sentence"]


@pytest.mark.fault(20)
def test_files_that_the_site_cannot_take_are_kept_for_the_next_attempt(site: ReferenceSite, station: Station) -> None:
    """Heartbeats pass, uploads do not."""
    station.train_with = toy_command("steady", "12", "0.01", "5")
    station.timings = dataclasses.replace(station.timings, cut_off_seconds=1.5)
    site.takes_files = False
    first = site.offer(1)
    work(station)
    assert first.end is not None
    assert (first.end["outcome"], first.end["reason"]) == ("failed", "storage_unreachable")
    assert "The checkpoint at step 10 is kept on this worker for a day." in first.end["log_tail"]
    site.takes_files = True
    second = site.offer(2, number=2)
    work(station)
    assert second.end is not None
    assert second.end["outcome"] == "succeeded"
    assert [event["step"] for event in second.events if event["kind"] == "metrics"] == [11, 12]
    assert [event["resumed_step"] for event in second.events if event["kind"] == "plan"] == [10]
    assert list(station.home.kept.iterdir()) == []


def test_a_worker_that_is_cut_off_stops_and_hands_in_once_the_site_is_back(
    site: ReferenceSite, station: Station
) -> None:
    station.train_with = toy_command("steady", "1000", "0.02", "5")
    station.timings = dataclasses.replace(station.timings, cut_off_seconds=1.5, drain_limit_seconds=1.5)
    attempt = site.offer(1)
    with working(station):
        until(lambda: len(attempt.events) > 5)
        site.down = True
        trainers = until(lambda: [each for each in psutil.process_iter() if _mark(each)])
        until(lambda: not any(each.is_running() and _mark(each) for each in trainers), 15)
        assert attempt.end is None
        until(lambda: any(station.home.kept.glob("1/step-*")), 15)
        site.down = False
    assert attempt.end is not None
    assert (attempt.end["outcome"], attempt.end["reason"]) == ("released", "worker_cut_off")
    steps = [event["step"] for event in attempt.events if event["kind"] == "metrics"]
    assert steps == list(range(1, len(steps) + 1))
    saved = next(station.home.kept.glob("1/step-*"))
    assert int(saved.name.removeprefix("step-")) == steps[-1]


def test_a_kept_checkpoint_serves_the_job_that_retries(site: ReferenceSite, station: Station) -> None:
    station.train_with = toy_command("steady", "12", "0.01", "5")
    station.timings = dataclasses.replace(station.timings, cut_off_seconds=1.5)
    site.takes_files = False
    site.offer(1)
    work(station)
    site.takes_files = True
    other = dataclasses.replace(SPEC, job_id=2).as_json()
    stranger, retry = site.offer(2, spec=other, retry_of=None), site.offer(3, spec=other, retry_of=1)
    work(station)
    plans = [event["resumed_step"] for each in (stranger, retry) for event in each.events if event["kind"] == "plan"]
    assert plans == [0, 10]


def test_few_checkpoints_are_kept_and_none_for_long(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    for job, age in ((4, 300), (3, 200), (2, 100), (1, 0)):
        folder = tmp_path / f"checkpoints-{job}" / "step-00000007"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        assert kept.keep(job, 2, folder.parent) == 7
        then = time.time() - age
        os.utime(tmp_path / "kept" / str(job), (then, then))
    kept.tidy()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["1", "2", "3"]
    kept.tidy(time.time() + 24 * 3600 - 150)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["1", "2"]
    target = tmp_path / "new"
    target.mkdir()
    assert (kept.take(1, 7, target), kept.take(2, 6, target, attempt=2)) == (None, 7)
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.nemesis(13)
def test_only_the_very_next_attempt_goes_on_from_what_was_kept(tmp_path: Path) -> None:
    """Another one has trained meanwhile: its steps stand in the series, and the kept ones would leave a hole."""
    kept, target = Kept(tmp_path / "kept"), tmp_path / "new"
    target.mkdir()
    folder = tmp_path / "checkpoints" / "step-00000007"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert kept.keep(1, 2, folder.parent) == 7
    assert kept.take(1, 0, target, attempt=3) is None
    assert list(target.iterdir()) == []
