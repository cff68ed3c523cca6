"""A trainer that tries to break out, try by try: each is refused, with every layer here and with Landlock alone."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.workers.conftest import Notebook, toy_launch, until
from tests.workers.hostile_machine import HOSTILE, LIMITS, LOCKED_CONTAINER, MEBIBYTE, SECRET, Machine, need
from tests.workers.reference_site import TIMINGS
from workers.ending import how_it_ended
from workers.isolation import Isolation, here
from workers.orders import Orders
from workers.supervisor import supervise


@pytest.fixture(params=["every layer", "Landlock alone"])
def walls(request: pytest.FixtureRequest) -> Isolation:
    found = here() if request.param == "every layer" else LOCKED_CONTAINER
    return dataclasses.replace(found, limits=LIMITS)


@pytest.fixture
def every_layer() -> Isolation:
    return dataclasses.replace(here(), limits=LIMITS)


@pytest.fixture
def machine(tmp_path: Path, notebook: Notebook) -> Machine:
    return Machine(tmp_path, notebook)


@pytest.fixture
def stranger() -> Iterator[psutil.Popen]:
    """A process of the machine with a secret in its environment, such as the site."""
    with subprocess.Popen(["sleep", "600"], env={"SECRET_KEY": SECRET.decode()}) as process:
        yield process
        process.kill()


READING = ("read", "read_by_symbolic_link", "read_by_hard_link")
WRITING = (
    "write",
    "write_by_symbolic_link",
    "write_by_hard_link",
    "make_beside",
    "rename_away",
    "truncate",
    "change_mode_and_write",
    "remove",
    "replace",
)
CHANGING = ("write", "truncate", "change_mode_and_write", "remove", "replace", "link_and_change", "make_beside")


def test_it_reads_no_secret(machine: Machine, walls: Isolation) -> None:
    need(walls, "file_rules", "own_view", "separate_user")
    machine.refused(*READING, walls=walls, paths=["/etc/shadow", *machine.secrets])


def test_it_does_not_learn_which_jobs_there_are(machine: Machine, walls: Isolation) -> None:
    need(walls, "file_rules")
    machine.refused("list_folder", walls=walls, paths=[str(machine.job.path.parent), str(machine.root)])


def test_it_reads_no_environment_of_another_process(machine: Machine, walls: Isolation, stranger: Any) -> None:
    need(walls, "file_rules", "own_proc", "separate_user")
    machine.refused("read", walls=walls, paths=[f"/proc/{pid}/environ" for pid in (stranger.pid, os.getpid())])


def test_it_writes_nothing_outside_its_folder(machine: Machine, walls: Isolation) -> None:
    need(walls, "file_rules", "own_view", "separate_user")
    machine.refused(*WRITING, walls=walls, paths=machine.secrets)


def test_it_does_not_change_its_own_inputs(machine: Machine, walls: Isolation) -> None:
    """The input is a link to the cache: a change would reach every later job."""
    need(walls, "file_rules", "own_view", "separate_user")
    machine.refused(*CHANGING, walls=walls, paths=[str(machine.job.dataset)])
    assert machine.job.dataset.read_bytes() == SECRET


@pytest.mark.parametrize("attempt", [*READING, *WRITING])
def test_without_walls_each_of_these_tries_gets_what_it_wants(machine: Machine, attempt: str) -> None:
    """Else the tests above would prove nothing."""
    outcomes = machine.outcomes(attempt, walls=Isolation(), paths=[str(machine.database)])
    assert list(outcomes.values()) == [None]


def test_it_reaches_no_port_of_the_machine(machine: Machine, walls: Isolation) -> None:
    """The site's and the broker's alike."""
    need(walls, "no_network", "file_rules")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        machine.refused("connect", walls=walls, host="127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(BlockingIOError):
            server.accept()


def test_it_reaches_no_cloud_metadata(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "no_network")
    assert "unreachable" in machine.refused("connect", walls=every_layer, host="169.254.169.254", port=80)


def test_it_reaches_no_socket_among_the_files(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "own_view", "separate_user")
    with socket.socket(socket.AF_UNIX) as server:
        place = machine.root / "s"
        server.bind(os.path.relpath(place))
        server.listen()
        place.chmod(0o777)
        machine.refused("connect_to_named_socket", walls=every_layer, paths=[str(place)])


def test_it_reaches_no_abstract_socket(machine: Machine, walls: Isolation) -> None:
    need(walls, "no_network", "signal_rules")
    name = f"deltaboard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        machine.refused("connect_to_abstract_socket", walls=walls, name=name)


def test_its_own_processes_talk_over_the_loopback(machine: Machine, every_layer: Isolation) -> None:
    outcomes = machine.outcomes("talk_over_own_loopback", walls=every_layer)
    assert list(outcomes.values()) == [None]


def test_several_processes_of_a_locked_container_talk_too(machine: Machine) -> None:
    launch = dataclasses.replace(machine.launch("talk_over_own_loopback", {}), several_processes=True)
    supervise(launch, machine.line, TIMINGS, LOCKED_CONTAINER, Orders())
    assert json.loads(machine.line.of("log")[-1]["text"])["refused"] is None


def test_a_fork_bomb_is_stopped_and_cleared(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "process_limit")
    assert "BlockingIOError" in machine.refused("fork_bomb", walls=every_layer)
    assert not _processes_with(str(HOSTILE))


def test_a_fork_bomb_is_stopped_without_control_groups(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "separate_user")
    counted = dataclasses.replace(every_layer, process_limit=False, memory_limit=False)
    assert "BlockingIOError" in machine.refused("fork_bomb", walls=counted)


def test_a_file_stays_below_its_limit(machine: Machine, walls: Isolation) -> None:
    need(walls, "size_limits")
    assert "File too large" in machine.refused("fill_the_disk", walls=walls)
    assert (machine.job.made / "huge").stat().st_size <= LIMITS.file_bytes


def test_open_files_stay_below_their_limit(machine: Machine, walls: Isolation) -> None:
    need(walls, "size_limits")
    assert "Too many open files" in machine.refused("open_many_files", walls=walls)


@pytest.mark.fault(31)
def test_who_takes_all_memory_ends_alone_and_is_told_why(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "memory_limit")
    exit = machine.run("take_all_memory", every_layer, bytes=2 * LIMITS.memory_bytes)
    assert how_it_ended(exit).reason == "host_oom"


@pytest.mark.slow
def test_a_flood_of_events_is_bounded(machine: Machine, walls: Isolation) -> None:
    before = psutil.Process().memory_info().rss
    machine.outcomes("flood_the_pipe", walls=walls)
    assert psutil.Process().memory_info().rss - before < 50 * MEBIBYTE
    assert sum(event["count"] for event in machine.line.of("noise")) == 20_001


def test_nothing_of_it_outlives_its_end(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "process_namespace")
    mark = f"outlive-{os.getpid()}"
    machine.run("outlive", every_layer, mark=mark)
    assert not _processes_with(mark)


def test_without_namespaces_its_control_group_ends_it(machine: Machine) -> None:
    need(here(), "process_limit")
    grouped = dataclasses.replace(LOCKED_CONTAINER, process_limit=True, memory_limit=here().memory_limit)
    mark = f"outlive-grouped-{os.getpid()}"
    machine.run("outlive", grouped, mark=mark)
    assert not _processes_with(mark)


def test_it_does_not_touch_its_supervisor(machine: Machine, walls: Isolation) -> None:
    need(walls, "process_namespace", "signal_rules")
    received: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    try:
        machine.refused("ptrace", "send_signal", walls=walls, pid=os.getpid())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == []


def test_it_becomes_nobody_else(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "no_capabilities")
    machine.refused("become_another_user", walls=every_layer, user=1000)


def test_it_gains_no_rights(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "no_capabilities")
    machine.refused("gain_rights_by_a_namespace", "mount", "change_root", "run_a_setuid_program", walls=every_layer)


def test_it_holds_its_pipes_and_a_scrubbed_environment(
    machine: Machine, walls: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET.decode())
    with Path("/etc/hostname").open() as opened:
        os.set_inheritable(opened.fileno(), True)
        machine.run("look_around", walls)
    seen = json.loads(machine.line.of("log")[0]["text"])
    assert {0, 1, 2, seen["pipe"]} < set(seen["descriptors"])
    assert len(seen["descriptors"]) == 5  # one is the listing itself
    assert SECRET.decode() not in json.dumps(seen["environment"])
    assert seen["status"]["NoNewPrivs"] == "1"


def test_it_runs_as_a_user_that_owns_nothing(machine: Machine, every_layer: Isolation) -> None:
    need(every_layer, "separate_user")
    orders = Orders()
    launch = dataclasses.replace(toy_launch("obeying", machine.job), slot=3)
    running = threading.Thread(target=supervise, args=(launch, machine.line, TIMINGS, every_layer, orders))
    running.start()
    try:
        until(lambda: machine.line.of("metrics"))
        users = {process.uids().real for process in _processes_with("toy_trainer.py", str(machine.job.path))}
    finally:
        orders.leave()
        running.join()
    assert users == {every_layer.user_of(3)}
    assert every_layer.user_of(3) not in (0, every_layer.user_of(0))


def _processes_with(*words: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if all(word in line for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found
