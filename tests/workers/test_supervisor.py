"""One training tree from start to end: what it says arrives, what it leaves behind dies."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.workers.conftest import Notebook, until
from tests.workers.reference_site import TIMINGS
from workers.ending import Ending, Exit, Stop, how_it_ended
from workers.isolation import Isolation, here
from workers.leftovers import kill_marked
from workers.orders import Orders
from workers.output import MAX_LINE_BYTES
from workers.protocol import ATTEMPT_VARIABLE, JobFolder
from workers.supervisor import supervise
from workers.tree import Launch

Toy = Callable[[str], Launch]


def marked(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(ATTEMPT_VARIABLE) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def run(launch: Launch, line: Notebook, isolation: Isolation, orders: Orders | None = None) -> Exit:
    exit = supervise(launch, line, TIMINGS, isolation, orders or Orders())
    assert marked(launch.mark) == []
    return exit


def test_a_good_training_says_everything_and_ends_well(launch: Toy, notebook: Notebook, isolation: Isolation) -> None:
    exit = run(launch("good"), notebook, isolation)
    assert (exit.returncode, exit.stop, exit.failed) == (0, None, None)
    assert [event["step"] for event in notebook.of("metrics")] == list(range(1, 21))
    assert [event["step"] for event in notebook.of("checkpoint")] == [10, 20]
    assert notebook.of("log")[0]["text"] == "100%"


@pytest.mark.fault(34)
@pytest.mark.fault(38)
def test_cancel_ends_a_stubborn_tree_within_the_grace(launch: Toy, notebook: Notebook, isolation: Isolation) -> None:
    def cancel() -> None:
        until(lambda: len(notebook.of("metrics")) == 2)
        notebook.wish = "cancel"

    threading.Thread(target=cancel).start()
    exit = run(launch("stubborn"), notebook, isolation)
    assert exit.stop is Stop.CANCEL
    assert how_it_ended(exit).outcome == "cancelled"


def test_a_stale_attempt_is_killed_without_grace(launch: Toy, notebook: Notebook, isolation: Isolation) -> None:
    def end() -> None:
        until(lambda: len(notebook.of("metrics")) == 2)
        stale_at.append(time.monotonic())
        notebook.stale.set()

    stale_at: list[float] = []
    threading.Thread(target=end).start()
    assert run(launch("stubborn"), notebook, isolation).stop is Stop.STALE
    assert time.monotonic() - stale_at[0] < 5


@pytest.mark.parametrize("how", ["pause", "drain", "cut off"])
def test_a_training_that_obeys_saves_before_it_leaves(launch: Toy, notebook: Notebook, how: str) -> None:
    orders = Orders()

    def stop() -> None:
        until(lambda: len(notebook.of("metrics")) > 3)
        if how == "pause":
            notebook.wish = "pause"
        elif how == "drain":
            orders.leave()
        else:
            notebook.silent_seconds = TIMINGS.cut_off_seconds + 1

    threading.Thread(target=stop).start()
    exit = run(launch("obeying"), notebook, here(), orders)
    assert exit.returncode == 3
    assert len(notebook.of("checkpoint")) == 1
    expected = {"pause": "paused_by_user", "drain": "drained", "cut off": "worker_cut_off"}
    assert (how_it_ended(exit).outcome, how_it_ended(exit).reason) == ("released", expected[how])


def test_a_second_signal_does_not_wait_for_the_checkpoint(launch: Toy, notebook: Notebook) -> None:
    orders = Orders()

    def stop() -> None:
        until(lambda: len(notebook.of("metrics")) == 2)
        orders.leave()
        orders.leave()

    threading.Thread(target=stop).start()
    began = time.monotonic()
    assert run(launch("stubborn"), notebook, here(), orders).stop is Stop.DRAIN
    assert time.monotonic() - began < TIMINGS.drain_limit_seconds


@pytest.mark.fault(63)
def test_a_grandchild_that_holds_the_pipes_delays_nothing(
    launch: Toy, notebook: Notebook, isolation: Isolation
) -> None:
    began = time.monotonic()
    assert run(launch("holding"), notebook, isolation).returncode == 0
    assert time.monotonic() - began < 5
    assert len(notebook.of("metrics")) == 20


@pytest.mark.fault(62)
def test_noise_is_counted_and_never_fatal(launch: Toy, notebook: Notebook) -> None:
    assert run(launch("noisy"), notebook, here()).returncode == 0
    assert [event["step"] for event in notebook.of("metrics")] == [1, 2]
    assert sum(event["count"] for event in notebook.of("noise")) == 8
    assert notebook.of("noise")[0]["sample"].startswith("not json")


@pytest.mark.fault(36)
def test_a_flood_of_output_is_bounded_and_blocks_no_step(launch: Toy, notebook: Notebook) -> None:
    before = psutil.Process().memory_info().rss
    assert run(launch("flooding"), notebook, here()).returncode == 0
    assert psutil.Process().memory_info().rss - before < 50_000_000
    texts = [event["text"] for event in notebook.of("log")]
    assert len(texts) < 2500
    assert all(len(text) <= MAX_LINE_BYTES + 20 for text in texts)
    assert texts[0].endswith("(truncated)")
    assert any("left out here" in text for text in texts)
    assert len(notebook.of("metrics")) == 1


@pytest.mark.fault(62)
@pytest.mark.parametrize("mode", ["closing", "standing", "rushing"])
def test_a_trainer_that_treats_its_pipes_badly_ends_all_the_same(
    launch: Toy, notebook: Notebook, isolation: Isolation, mode: str
) -> None:
    """Closes them all and goes on; stops itself and ignores SIGTERM; says far more than anybody reads."""

    def cancel() -> None:
        until(lambda: notebook.of("metrics"))
        notebook.wish = "cancel"

    threading.Thread(target=cancel).start()
    began = time.monotonic()
    assert run(launch(mode), notebook, isolation).stop is Stop.CANCEL
    assert time.monotonic() - began < 15


@pytest.mark.fault(33)
def test_a_hung_training_shows_its_stack_and_ends(launch: Toy, notebook: Notebook) -> None:
    timings = dataclasses.replace(TIMINGS, no_progress_seconds=4)
    exit = supervise(launch("hanging"), notebook, timings, here(), Orders())
    assert how_it_ended(exit).reason == "stalled"
    assert any("toy_trainer.py" in event["text"] for event in notebook.of("log"))


@pytest.mark.parametrize(
    ("mode", "reason", "detail"),
    [
        ("failing", "gpu_oom", {"batch": 8}),
        pytest.param("empty", "no_output", {}, marks=pytest.mark.fault(35)),
        ("killed", "trainer_killed", {"signal": 9, "signal_name": "SIGKILL"}),
        ("aborting", "trainer_killed", {"signal": 6, "signal_name": "SIGABRT"}),
    ],
)
def test_each_end_has_its_reason(
    launch: Toy, notebook: Notebook, isolation: Isolation, mode: str, reason: str, detail: dict[str, object]
) -> None:
    ending = how_it_ended(run(launch(mode), notebook, isolation))
    assert (ending.outcome, ending.reason, ending.detail) == ("failed", reason, detail)
    assert ending.sentence


@pytest.mark.parametrize(
    ("exit", "ending"),
    [
        (Exit(0, has_artifact=True), ("succeeded", None)),
        (Exit(0, Stop.PAUSE, has_artifact=True), ("succeeded", None)),
        (Exit(0, Stop.CANCEL, has_artifact=True), ("cancelled", "cancelled_by_user")),
        (Exit(-9, out_of_memory=True), ("failed", "host_oom")),
        (Exit(125), ("failed", "trainer_killed")),
        (Exit(75), ("failed", "worker_lost")),
        (Exit(3), ("failed", "trainer_killed")),
        (Exit(7), ("failed", "trainer_error")),
        (Exit(1, spoke=False), ("failed", "trainer_killed")),
        (Exit(1, failed={"reason": "worker_lost"}), ("failed", "trainer_error")),
        (Exit(-9, Stop.DRAIN), ("released", "drained")),
    ],
)
def test_the_rule_for_every_other_end(exit: Exit, ending: tuple[str, str | None]) -> None:
    said: Ending = how_it_ended(exit)
    assert (said.outcome, said.reason) == ending


@pytest.mark.skipif(not here().process_namespace, reason="this host has no process namespaces")
def test_what_a_trainer_can_see(
    launch: Toy, notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTABOARD_WORKER_KEY", "secret")
    monkeypatch.setenv("REDIS_URL", "redis://secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "port").write_text(str(server.getsockname()[1]))
        assert run(launch("prying"), notebook, here()).returncode == 0
    seen = json.loads((tmp_path / "made/seen.json").read_text())
    assert seen["network"] is not here().no_network
    assert "secret" not in json.dumps(seen["env"])
    assert seen["env"]["HOME"] == str(tmp_path / "made/scratch")
    if here().own_proc:
        assert max(seen["pids"]) < 10
    if here().no_capabilities:
        assert int(seen["caps"], 16) == 0


WORKER = """
import sys
from pathlib import Path
from tests.workers.conftest import Notebook, toy_launch
from tests.workers.reference_site import TIMINGS
from workers.isolation import Isolation, here
from workers.orders import Orders
from workers.supervisor import supervise
from workers.protocol import JobFolder
folder = JobFolder(Path(sys.argv[1]))
line = Notebook()
line.say = lambda event: print("said", flush=True)
walls = here() if sys.argv[3] == "walls" else Isolation()
supervise(toy_launch(sys.argv[2], folder), line, TIMINGS, walls, Orders())
"""


def dying_worker(folder: Path, mode: str, walls: str, events: int) -> None:
    """A worker process that is killed as soon as its trainer has said so many events."""
    JobFolder(folder).scratch.mkdir(parents=True)
    command = [sys.executable, "-c", WORKER, str(folder), mode, walls]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        for _ in range(events):
            assert worker.stdout.readline() == b"said\n"
        assert marked(str(folder))
        os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.fault(1)
@pytest.mark.skipif(not here().process_namespace, reason="this host has no process namespaces")
def test_killing_the_worker_takes_the_whole_tree_along(tmp_path: Path) -> None:
    dying_worker(tmp_path, "stubborn", "walls", events=2)
    until(lambda: not marked(str(tmp_path)), seconds=3)


def test_without_walls_the_lifeline_tells_the_trainer(tmp_path: Path) -> None:
    dying_worker(tmp_path, "fenced", "bare", events=1)
    until(lambda: (tmp_path / "made/fenced").exists() and not marked(str(tmp_path)), seconds=3)


@pytest.mark.fault(1)
def test_without_walls_the_next_start_finds_what_was_left(tmp_path: Path) -> None:
    dying_worker(tmp_path, "stubborn", "bare", events=2)
    assert len(marked(str(tmp_path))) == 2
    assert kill_marked(lambda mark: mark == str(tmp_path)) == 2
    assert marked(str(tmp_path)) == []
