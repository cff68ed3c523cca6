"""`python -m workers --site URL`: enrols this machine once, then waits for permits and runs jobs until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import resource
import shutil
import sys
import warnings
from dataclasses import replace
from typing import Any

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging

import workers.tasks  # noqa: F401  (registers run_next_job)
from workers import cgroups
from workers.cache import DEFAULT_LIMIT_BYTES, Cache
from workers.celery import app
from workers.client import Enrolment, SiteClient, SiteRefused, UnknownToken, patiently
from workers.deafness import Hearing, answers
from workers.enrolling import (
    KEY_VARIABLE,
    CannotStart,
    Home,
    broker_url,
    check_address,
    default_name,
    enrolled,
    lock,
)
from workers.greeting import keep_greeting
from workers.host import Host
from workers.isolation import Isolation, here
from workers.keeping import Kept
from workers.leaving import Leaver, kill_trees, obey_signals
from workers.limits import Limits
from workers.protocol import POOL_RULE, Device, Timings, is_pool, missing_layers, pool_queue, worker_queue
from workers.station import Station
from workers.telemetry import Telemetry
from workers.tree import Command, training_command

CANNOT_START = 2
CACHE_VARIABLE = "DELTABOARD_CACHE_BYTES"
log = logging.getLogger("workers")


def main(arguments: list[str] | None = None, train_with: Command = training_command) -> int:
    """Run one worker; the exit code: 0 after a shutdown, 2 with a sentence if it cannot run, 1 if Celery failed."""
    asked = _parser().parse_args(arguments)
    _set_up_logging()
    try:
        return run(asked, train_with)
    except CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_START


def run(asked: argparse.Namespace, train_with: Command) -> int:
    check_address(asked.site)
    home = Home.of(asked.name, os.environ)
    with lock(home):
        enrolment = enrolled(home, asked.site, os.environ)
        broker = broker_url(enrolment, os.environ)
        clean(home)
        station = greeted(asked, home, enrolment)
        station.train_with = train_with
        failed = 0 if station.why_left else serve(station, broker, enrolment.pool)
    return last_words(station) or failed


def last_words(station: Station) -> int:
    """Why it leaves although nobody told it to, if so; the exit code."""
    if not station.why_left:
        return 0
    sys.stderr.write(f"{station.why_left}\n")
    return CANNOT_START


def clean(home: Home) -> None:
    """End and remove what an earlier life of this worker left."""
    if killed := kill_trees(home):
        log.warning("Killed %d processes that an earlier run of this worker left.", killed)
    cgroups.sweep()
    Kept(home.kept).tidy()
    shutil.rmtree(home.jobs, ignore_errors=True)
    home.jobs.mkdir(parents=True)


def greeted(asked: argparse.Namespace, home: Home, enrolment: Enrolment) -> Station:
    """The station, known to the site. A token that died is replaced if there is a new key."""
    station = make_station(asked, home, enrolment)
    try:
        patiently(station.hello)
    except SiteRefused as error:
        raise CannotStart(str(error)) from error
    except UnknownToken as error:
        if not os.environ.get(KEY_VARIABLE):
            raise CannotStart(
                f"{asked.site} does not know this worker's token. Make a new worker key on its Team page, "
                f"set {KEY_VARIABLE} to it and start again."
            ) from error
        home.token.unlink()
        station = make_station(asked, home, enrolled(home, asked.site, os.environ))
        patiently(station.hello)
    return station


def make_station(asked: argparse.Namespace, home: Home, enrolment: Enrolment) -> Station:
    telemetry = Telemetry(ask_host=Host(home.path).look)
    slots = slots_for(asked.slots, telemetry.newest)
    limit = int(os.environ.get(CACHE_VARIABLE, DEFAULT_LIMIT_BYTES))
    return Station(
        client=SiteClient(asked.site, enrolment.token),
        home=home,
        worker=enrolment,
        slots=slots,
        threads_per_slot=max(1, (os.cpu_count() or 1) // slots),
        isolation=isolation(),
        timings=Timings.from_environment(dict(os.environ)),
        cache=Cache(home.cache, limit),
        labels=tuple(asked.label),
        telemetry=telemetry,
    )


def slots_for(asked: int | None, here: tuple[Device, ...]) -> int:
    """One for each GPU, else as many shares of the CPU as were asked for. Raises CannotStart."""
    gpus = sum(device.kind == "cuda" for device in here)
    if gpus and asked and asked > gpus:
        raise CannotStart(
            f"--slots {asked} is more than the GPUs of this machine: {gpus} ({here[0].name}), one slot each. "
            f"Use {gpus} or fewer; for CPU slots, hide the GPUs with an empty CUDA_VISIBLE_DEVICES."
        )
    return asked or max(1, gpus)


def isolation() -> Isolation:
    """Every wall of this host, with the limits that were asked for."""
    try:
        return replace(here(), limits=Limits.from_environment(os.environ))
    except ValueError as error:
        raise CannotStart(str(error)) from error


def serve(station: Station, broker: str, pool: str) -> int:
    """Take permits until a signal comes; returns when the last slot is free, with Celery's exit code."""
    os.environ.pop(KEY_VARIABLE, None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    app.station = station
    app.conf.broker_url = broker
    station.serves = True
    station.hearing = Hearing(lambda: answers(broker))
    station.telemetry.keep_looking()
    keep_greeting(station)
    for layer in missing_layers(station.isolation.as_json()):
        log.warning("Reduced isolation, missing here: %s. %s", layer.title, layer.missing)
    log.info("Worker %s waits for jobs of %s: %d slot(s).", station.worker.name, station.client.site, station.slots)
    celery = app.Worker(
        hostname=f"{station.worker.name}@{platform.node()}",
        pool="threads",
        concurrency=station.slots,
        queues=[pool_queue(pool), worker_queue(station.worker.worker_id)],
        without_heartbeat=True,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
        loglevel="WARNING",
    )
    # Threads beyond this number would take permits for slots that a job on several GPUs holds.
    station.rack.on_room = lambda room: setattr(celery, "max_concurrency", room)
    celery.install_platform_tweaks = lambda worker: obey_signals(station.orders)
    Leaver(
        orders=station.orders,
        home=station.home,
        at_rest=lambda: station.rack.untouched,
        wake=lambda: celery.hub.call_soon(_nothing),
        last_words=lambda: last_words(station),
    ).watch()
    celery.start()
    return celery.exitcode or 0


def _nothing() -> None:
    """To be called soon: the calling is what wakes."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workers", description="Run a Deltaboard worker on this machine.")
    parser.add_argument("--site", required=True, help="address of the site, such as https://deltaboard.example.org")
    parser.add_argument("--name", default=default_name(), help="name of this worker on this machine")
    parser.add_argument("--slots", type=_positive, help="jobs at a time; one per GPU, else 1")
    parser.add_argument(
        "--label", action="append", default=[], type=_label, help="what jobs may ask for, such as rtx4090; repeatable"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of slots; use 1 or more")
    return int(text)


def _label(text: str) -> str:
    if not is_pool(text):
        raise argparse.ArgumentTypeError(f"{text} is not a label. {POOL_RULE}")
    return text


def _set_up_logging() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    setup_logging.connect(_keep_ours)
    warnings.simplefilter("ignore", SecurityWarning)  # about root and pickle; only JSON is accepted here


def _keep_ours(**celery_facts: Any) -> None:
    """Celery sets up its own logging unless somebody listens here."""


if __name__ == "__main__":
    sys.exit(main())
