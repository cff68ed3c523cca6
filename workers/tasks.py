"""run_next_job: claim, acknowledge, prepare, train, report, hand in, end. Each step lives in a room of its own."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.cache import DiskFull
from workers.celery import app
from workers.client import Claimed, SiteRefused, SiteUnreachable, StaleAttempt, patiently
from workers.ending import WISHED, Ending, Stop, how_it_ended
from workers.handing_in import Checkpoints, NotComplete, hand_in_artifact, is_complete
from workers.inspecting import inspect
from workers.keeping import Kept
from workers.preparing import CheckpointUnreadable, Fetcher, prepare_job
from workers.protocol import RUN_NEXT_JOB, JobFolder, JobSpec
from workers.reporting import Reporter
from workers.slots import Held
from workers.station import Station
from workers.supervisor import supervise
from workers.tree import Launch

log = logging.getLogger(__name__)
UNSENT_REASONS = ("storage_unreachable", "worker_cut_off")
"""Ends after which the site may lack files that are here."""


@app.task(name=RUN_NEXT_JOB)  # type: ignore[untyped-decorator]
def run_next_job() -> None:
    """A permit: work in one slot until the site has nothing more for it."""
    station: Station = app.station
    station.hearing.permit_came()
    with station.rack.hold() as held:
        while held is not None and (claim := station.claim(held)) is not None:
            work(claim, held, station)


def work(claim: dict[str, Any], held: Held, station: Station) -> None:
    """One job or inspection in the slots that it takes. Whatever happens in it, they stay usable."""
    try:
        if claim["kind"] == "inspection":
            inspect(claim, held, station)
        else:
            run_job(claim, held, station)
    except StaleAttempt:
        log.info("The site gave this %s to another worker or ended it.", claim["kind"])
    except (SiteUnreachable, SiteRefused) as error:
        log.warning("Could not hand in the end of this %s: %s", claim["kind"], error)
    except Exception:
        log.exception("A %s broke the worker's own code; its lease will run out.", claim["kind"])
    finally:
        held.done()


def run_job(claim: dict[str, Any], held: Held, station: Station) -> None:
    attempt = station.attempt(claim)
    patiently(lambda: attempt.post("ack", {}), limit_seconds=station.timings.ack_limit_seconds)
    unsent = station.home.jobs / f"{claim['attempt']}.unsent"
    with (
        job_folder(station.home.jobs / str(claim["attempt"])) as folder,
        Reporter(attempt, station.timings, unsent, lambda: station.telemetry.host) as reporter,
    ):
        run = Run(claim, held, station, attempt, reporter, JobFolder(folder))
        run.hand_over(run.prepare() or run.train())
    unsent.unlink(missing_ok=True)


class Run:
    """One attempt of a job on this worker."""

    def __init__(
        self,
        claim: dict[str, Any],
        held: Held,
        station: Station,
        attempt: Claimed,
        reporter: Reporter,
        folder: JobFolder,
    ) -> None:
        self.claim, self.held, self.station = claim, held, station
        self.attempt, self.reporter, self.folder = attempt, reporter, folder
        self.timings = station.timings
        self.kept = Kept(station.home.kept)

    def prepare(self) -> Ending | None:
        """Fetch the inputs; an Ending if that was not to be."""
        fetcher = Fetcher(
            self.attempt,
            self.station.cache,
            lambda: self.told_to_stop() is not None,
            self.timings.cut_off_seconds,
            self.reporter.say_line,
        )
        try:
            prepare_job(self.folder, JobSpec.from_json(self.claim["spec"]), self.claim["checkpoint"], fetcher)
        except (SiteUnreachable, SiteRefused) as error:
            text = f"The job's files could not be fetched: {error}"
            return self._wished() or Ending("failed", "storage_unreachable", text)
        except DiskFull as error:
            return Ending("failed", "disk_full", str(error))
        except CheckpointUnreadable as error:
            return Ending("failed", "checkpoint_unreadable", str(error), {"step": error.step})
        self._take_what_was_kept()
        return self._wished()

    def train(self) -> Ending:
        """Run the training and hand in what it makes; how the attempt ended."""
        resumed_step = (self.claim["checkpoint"] or {"step": 0})["step"]
        checkpoints = Checkpoints(
            self.attempt,
            self.folder.checkpoints,
            resumed_step,
            self.timings.cut_off_seconds,
            self.reporter,
        )
        try:
            exit = supervise(
                self._launch(),
                self.reporter,
                self.timings,
                self.station.isolation,
                self.station.orders,
                checkpoints.take,
                lambda: is_complete(self.folder.artifact),
            )
            ending = how_it_ended(exit)
            if ending.outcome == "succeeded":
                return self._hand_in_artifact(ending)
            if ending.outcome != "cancelled" and not self.reporter.stale.is_set():
                checkpoints.finish(self.timings.drain_limit_seconds, self.station.orders.hurry.is_set)
            return self._keep_if_unsent(ending)
        finally:
            checkpoints.abandon()

    def _launch(self) -> Launch:
        return Launch(
            command=self.station.train_with(self.folder.path),
            scratch=self.folder.scratch,
            mark=str(self.folder.path),
            writable=self.folder.made,
            slot=self.held.own.number,
            several_processes=len(self.held.slots) > 1,
            threads=self.claim["threads"] * len(self.held.slots),
            cuda_devices=self.held.cuda_devices,
            lifeline_seconds=self.timings.lease_seconds,
        )

    def _hand_in_artifact(self, ending: Ending) -> Ending:
        def given_up() -> bool:
            hurry = self.station.orders.hurry.is_set()
            return hurry or self.told_to_stop() in (Stop.STALE, Stop.CANCEL) or self._leaving()

        try:
            hand_in_artifact(self.attempt, self.folder.artifact, given_up, self.timings.cut_off_seconds)
        except (NotComplete, SiteRefused) as error:
            return Ending("failed", "no_output", f"The site did not take the delta artifact: {error}")
        except SiteUnreachable as error:
            text = f"The delta artifact could not be handed in: {error}"
            return self._wished() or self._keep_if_unsent(Ending("failed", "storage_unreachable", text))
        return ending

    def _take_what_was_kept(self) -> None:
        """A newer checkpoint than the site's, of this job or of the one that it retries, if it is on this machine."""
        there = (self.claim["checkpoint"] or {"step": 0})["step"]
        wanted = ((self.claim["spec"]["job_id"], self.claim["number"] - 1), (self.claim.get("retry_of"), None))
        for job_id, by in wanted:
            step = None if job_id is None else self.kept.take(job_id, there, self.folder.checkpoints, by)
            if step is not None:
                self.reporter.say_line(f"Going on from the checkpoint at step {step:,} that was kept on this worker.")
                return

    def _keep_if_unsent(self, ending: Ending) -> Ending:
        if ending.reason not in UNSENT_REASONS:
            return ending
        step = self.kept.keep(self.claim["spec"]["job_id"], self.claim["number"], self.folder.checkpoints)
        if step is not None:
            self.reporter.say_line(f"The checkpoint at step {step:,} is kept on this worker for a day.", "warning")
        return ending

    def hand_over(self, ending: Ending) -> None:
        """Send what is still unsent, then the end; heartbeats go on meanwhile."""
        if not self.reporter.flush(self._leaving) and self.reporter.stale.is_set():
            raise StaleAttempt("The site has ended this attempt.")
        end = {
            "outcome": ending.outcome,
            "reason": ending.reason,
            "sentence": ending.sentence,
            "detail": ending.detail,
            "last_seq": self.reporter.last_seq,
            "log_tail": self.reporter.log_tail(),
        }
        patiently(lambda: self.attempt.post("end", end), self._leaving)
        if ending.outcome in ("succeeded", "cancelled"):
            self.kept.forget(self.claim["spec"]["job_id"])

    def told_to_stop(self) -> Stop | None:
        if self.reporter.stale.is_set():
            return Stop.STALE
        if self.reporter.wish == "cancel":
            return Stop.CANCEL
        if self.reporter.wish == "pause":
            return Stop.PAUSE
        return Stop.DRAIN if self.station.orders.drain.is_set() else None

    def _wished(self) -> Ending | None:
        stop = self.told_to_stop()
        if stop is Stop.STALE:
            raise StaleAttempt("The site has ended this attempt.")
        return None if stop is None else WISHED[stop]

    def _leaving(self) -> bool:
        """The worker must go, and the site has not answered for as long as a shutdown may take."""
        orders = self.station.orders
        patience = 0.0 if orders.hurry.is_set() else self.timings.drain_limit_seconds
        return orders.drain.is_set() and self.reporter.silent_seconds > max(patience, 2 * self.timings.batch_seconds)


@contextmanager
def job_folder(path: Path) -> Iterator[Path]:
    """The path of a folder that is gone when the block ends."""
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
