"""Trainers that follow the pipe contract, or break it on purpose: `python toy_trainer.py MODE JOB_DIR [NUMBER …]`."""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from workers.training.lifeline import hold

FOLDER = Path(sys.argv[2])
MADE = FOLDER / "made"
"""As `workers.protocol.JobFolder` has it: all that a trainer may write."""
PIPE = int(os.environ["DELTABOARD_EVENT_FD"])
STEPS = 20


def emit(kind: str, **facts: Any) -> None:
    raw(json.dumps({"seq": 999, "kind": kind, "time": time.time(), **facts}).encode() + b"\n")


def raw(data: bytes) -> None:
    while data:
        data = data[os.write(PIPE, data) :]


def step(number: int) -> None:
    emit("metrics", step=number, epoch=0.1, values={"loss": 1 / number})


def save(folder: Path, **facts: Any) -> None:
    torn = folder.with_name("torn")
    torn.mkdir(parents=True)
    (torn / "weights.safetensors").write_bytes(b"weights" * 1000)
    digest = hashlib.sha256((torn / "weights.safetensors").read_bytes()).hexdigest()
    (torn / "manifest.json").write_text(
        json.dumps({"files": [{"name": "weights.safetensors", "sha256": digest}]} | facts)
    )
    torn.rename(folder)


def checkpoint(number: int) -> None:
    name = f"step-{number:08d}"
    save(MADE / "checkpoints" / name, step=number)
    emit("checkpoint", step=number, folder=name, best=False)


def good() -> None:
    emit("phase", phase="training", step=0)
    emit("plan", total_steps=STEPS)
    os.write(1, b"loading \x1b[31mred\x1b[0m\r100%\n")
    for number in range(1, STEPS + 1):
        step(number)
        if number % 10 == 0:
            checkpoint(number)
    save(MADE / "artifact")
    emit("artifact", bytes=7000)
    emit("result", final_metrics={"eval_loss": 0.5}, best_metric=None, notes=[])


def obeying() -> None:
    """Trains until SIGTERM, then saves and leaves."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    number = 0
    while not stop.is_set():
        number += 1
        step(number)
        time.sleep(0.02)
    checkpoint(number)
    sys.exit(3)


def steady(steps: int = 50, seconds: float = 0.02, every: int = 5, seconds_resumed: float | None = None) -> None:
    """Goes on from its newest checkpoint, takes its time, saves and leaves on SIGTERM, ends with its supervisor."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    hold()
    resumed = max((int(path.name[5:]) for path in (MADE / "checkpoints").glob("step-*")), default=0)
    emit("phase", phase="training", step=resumed)
    emit("plan", total_steps=steps, resumed_step=resumed)
    if resumed and seconds_resumed is not None:
        seconds = seconds_resumed
    for number in range(resumed + 1, steps + 1):
        step(number)
        stopped = stop.wait(seconds) and number < steps
        if number % every == 0 or stopped:
            checkpoint(number)
        if stopped:
            sys.exit(3)
    save(MADE / "artifact")
    emit("artifact", bytes=7000)
    emit("result", final_metrics={"eval_loss": 1 / steps}, best_metric=None, notes=[])


def saving() -> None:
    """Most of its life it is in the middle of a checkpoint; asked to stop, it finishes that one first."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    hold()
    torn = MADE / "checkpoints" / "torn"
    number = 0
    while not stop.is_set():
        number += 1
        step(number)
        emit("phase", phase="saving", step=number)
        torn.mkdir(parents=True)
        time.sleep(0.7)
        torn.rmdir()
        checkpoint(number)
    sys.exit(3)


def stubborn() -> None:
    """Ignores SIGTERM and has a grandchild in a session of its own that does so too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            step(2)
            time.sleep(600)
        os._exit(0)
    step(1)
    time.sleep(600)


def holding() -> None:
    """Ends well, while a grandchild keeps both pipes open."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    good()


def noisy() -> None:
    step(1)
    raw(b"not json\n" + b"\xff\xfe\n" + b"[1]\n" + b'{"kind": "unknown"}\n' + b'{"kind":"metrics","step":1}\n')
    raw(b'{"kind": "metrics", "step": 1, "values": {"loss": NaN}}\n')
    raw(b"x" * 10_000_000 + b"\n")
    step(2)
    raw(b'{"kind": "half')


def closing() -> None:
    """Closes every pipe that it has, and goes on."""
    step(1)
    for descriptor in (0, 1, 2, PIPE):
        os.close(descriptor)
    time.sleep(600)


def standing() -> None:
    """Stops itself, so that it sees no signal but one."""
    step(1)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def rushing() -> None:
    """Says more than anybody reads, and hears nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(1, 10_000_000):
        step(number)


def flooding() -> None:
    """A great deal of output without a line end, then a great many lines."""
    chunk = b"x" * 1024 * 1024
    for _ in range(200):
        os.write(1, chunk)
    os.write(1, b"\nline\n")
    for _ in range(20_000):
        os.write(1, b"spam spam spam\n")
    step(1)


def failing() -> None:
    emit("failed", reason="gpu_oom", sentence="The GPU ran out of memory.", detail={"batch": 8})
    sys.exit(1)


def killed() -> None:
    step(1)
    save(MADE / "checkpoints" / "step-00000001")  # written, never reported
    os.kill(os.getpid(), signal.SIGKILL)


def poison() -> None:
    """Shoots at its parent, which without walls is the worker; behind them it can only kill itself."""
    step(1)
    time.sleep(0.3)
    with contextlib.suppress(PermissionError):
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def hungry() -> None:
    """Takes more memory than there is for it, in small bites."""
    step(1)
    eaten: list[bytearray] = []
    while True:
        eaten.append(bytearray(b"x" * 10_000_000))


def aborting() -> None:
    os.abort()


def empty() -> None:
    step(1)


def hanging() -> None:
    faulthandler.register(signal.SIGUSR1)
    step(1)
    time.sleep(600)


def prying() -> None:
    """Says what a trainer can see of the machine."""
    pids = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    seen: dict[str, Any] = {"pids": pids, "env": dict(os.environ)}
    try:
        socket.create_connection(("127.0.0.1", int(FOLDER.joinpath("port").read_text())), timeout=1).close()
        seen["network"] = True
    except OSError:
        seen["network"] = False
    status = Path("/proc/self/status").read_text()
    seen["caps"] = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    (MADE / "seen.json").write_text(json.dumps(seen))


def fenced() -> None:
    """Leaves when its lifeline is cut."""
    step(1)
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            (MADE / "beat").touch()
    (MADE / "fenced").touch()
    sys.exit(75)


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


if __name__ == "__main__":
    {name: each for name, each in globals().items() if callable(each)}[sys.argv[1]](*map(_number, sys.argv[3:]))
