"""A training in small: steps of 20 ms, a checkpoint every 5, exact resume, an artifact: `trainer.py JOB_DIR`.

Its one weight follows from the job and the step alone, so the end says whether every step was done exactly once.
It needs the standard library alone and starts in a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

STEP_SECONDS = 0.02
SAVE_EVERY = 5
MANIFEST = "manifest.json"
stopping = threading.Event()


def trained(weight: str, step: int) -> str:
    """One step: the next weight depends on the last one and on the step's number."""
    return hashlib.sha256(f"{weight} {step}".encode()).hexdigest()


def loss_of(weight: str) -> float:
    return int(weight[:8], 16) / 2**32


def weight_after(job_id: int, steps: int) -> str:
    """What an undisturbed training of this job ends with."""
    weight = str(job_id)
    for step in range(1, steps + 1):
        weight = trained(weight, step)
    return weight


def emit(kind: str, **facts: Any) -> None:
    data = json.dumps({"kind": kind, "time": time.time(), **facts}).encode() + b"\n"
    pipe = int(os.environ["DELTABOARD_EVENT_FD"])
    while data:
        data = data[os.write(pipe, data) :]


def save(folder: Path, name: str, content: dict[str, Any], **facts: Any) -> None:
    """Complete or absent, the manifest last, as the real trainer does it."""
    torn = folder.with_name(f"torn-{folder.name}")
    torn.mkdir(parents=True)
    data = json.dumps(content).encode()
    for path, text in (
        (torn / name, data),
        (torn / MANIFEST, json.dumps(_manifest(name, data) | facts).encode()),
    ):
        with path.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    torn.rename(folder)


def _manifest(name: str, data: bytes) -> dict[str, Any]:
    return {"files": [{"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]}


def newest_checkpoint(folder: Path) -> tuple[int, str] | None:
    complete = [path for path in folder.glob("step-*") if (path / MANIFEST).exists()]
    if not complete:
        return None
    state = json.loads((max(complete) / "state.json").read_text())
    return state["step"], state["weight"]


def save_checkpoint(made: Path, step: int, weight: str) -> None:
    name = f"step-{step:08d}"
    if not (made / "checkpoints" / name).exists():
        save(made / "checkpoints" / name, "state.json", {"step": step, "weight": weight}, step=step)
        emit("checkpoint", step=step, folder=name, best=False)


def leave_with_the_worker() -> None:
    """Stdin is the lifeline: closed or silent for a lease, and this process ends at once."""
    seconds = float(os.environ["DELTABOARD_LIFELINE_SECONDS"])

    def watch() -> None:
        while select.select([0], [], [], seconds)[0] and os.read(0, 4096):
            pass
        os._exit(75)

    threading.Thread(target=watch, daemon=True).start()


def train(folder: Path) -> int:
    spec, made = json.loads((folder / "spec.json").read_text()), folder / "made"
    steps = spec["training"]["max_steps"]
    step, weight = newest_checkpoint(made / "checkpoints") or (0, str(spec["job_id"]))
    emit("plan", total_steps=steps, resumed_step=step, device="cpu", memory_kind="process memory")
    emit("phase", phase="training", step=step)
    while step < steps:
        if stopping.is_set():
            save_checkpoint(made, step, weight)
            return 3
        time.sleep(STEP_SECONDS)
        step += 1
        weight = trained(weight, step)
        emit("metrics", step=step, epoch=step / steps, values={"loss": loss_of(weight)})
        if step % SAVE_EVERY == 0:
            save_checkpoint(made, step, weight)
    emit("phase", phase="saving", step=step)
    save(made / "artifact", "delta.json", {"weight": weight})
    emit("artifact", bytes=(made / "artifact" / "delta.json").stat().st_size)
    emit("result", final_metrics={"loss": loss_of(weight)}, best_metric=None, notes=[])
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    leave_with_the_worker()
    sys.exit(train(Path(sys.argv[1])))
