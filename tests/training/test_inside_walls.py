"""Behind every wall of this host the real libraries still work: a whole training, data loaders, several processes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.training.conftest import MakeJob
from tests.workers.conftest import Notebook
from workers.ending import Exit
from workers.handing_in import is_complete
from workers.isolation import here
from workers.orders import Orders
from workers.protocol import JobFolder, Timings
from workers.supervisor import supervise
from workers.tree import Launch, training_command

pytestmark = pytest.mark.slow


def run(command: tuple[str, ...], folder: JobFolder, line: Notebook) -> Exit:
    folder.scratch.mkdir(parents=True, exist_ok=True)
    launch = Launch(command, folder.scratch, str(folder.path), writable=folder.made, several_processes=True)
    return supervise(launch, line, Timings(), here(), Orders())


def test_a_training_from_its_inputs_to_its_delta_artifact(classify: MakeJob) -> None:
    job, line = classify(save_every=5), Notebook()
    elsewhere = job.base_model.resolve()
    job.base_model.unlink()
    shutil.copytree(elsewhere, job.base_model)  # as a worker lays it out: within the folder
    exit = run(training_command(job.path), job, line)
    assert exit.returncode == 0, line.events
    assert is_complete(job.artifact)
    assert [event["step"] for event in line.of("checkpoint")] == [5, 10, 12]
    assert not [event for event in line.of("log") if event["level"] != "info"], line.of("log")


LOADING = """
import json
import torch
from torch.utils.data import DataLoader
rows = [torch.full((1000,), float(number)) for number in range(64)]
loader = DataLoader(rows, batch_size=8, num_workers=2)
print(json.dumps({"sum": sum(float(batch[:, 0].sum()) for batch in loader)}))
"""


def test_data_loaders_hand_tensors_over_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    line = Notebook()
    short = tmp_path_factory.mktemp("load")  # the sockets below have names of at most 107 characters
    exit = run((sys.executable, "-c", LOADING), JobFolder(short), line)
    assert exit.returncode == 0, line.events
    assert json.loads(line.of("log")[-1]["text"]) == {"sum": float(sum(range(64)))}


TOGETHER = """
import sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(mine)
sys.stdout.write(f"sum {mine.item()}\\n")  # one piece, so that the two do not mix
sys.stdout.flush()
dist.destroy_process_group()
"""


def test_several_processes_of_one_job_train_together(tmp_path: Path) -> None:
    """torchrun's store and gloo both go over 127.0.0.1."""
    line = Notebook()
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    exit = run((*torchrun, str(script)), JobFolder(tmp_path), line)
    assert exit.returncode == 0, line.events
    assert [event["text"] for event in line.of("log")].count("sum 3.0") == 2
