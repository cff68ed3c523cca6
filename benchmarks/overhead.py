"""Seconds per optimizer step of one LoRA training, by Deltaboard's training process and by a bare script.

    python -m benchmarks.overhead [--base-model FOLDER] [--turns 12] [--batch 4] [--length 128]

The bare script is transformers' Trainer with peft, logging nothing; ours says everything about every step. Both train
the same adapter on the same rows with the same batch, each in its process, and take turns of a few steps: while one
runs, the other stands still, so that a busy machine is busy for both. Steps are timed by the wall clock from the end
of one to the end of the next, so whatever happens in between counts. Goal: at most 1.02 times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tests.training import toys
from workers.protocol import JobFolder, JobSpec

ROOT = Path(__file__).parents[1]
WARM_UP_STEPS = 5
STEPS_PER_TURN = 5
GOAL = 1.02


def mid_toy(folder: Path) -> Path:
    """A Llama of 13 M parameters: large enough that a step is work, small enough for any machine."""
    tokenizer = toys.byte_tokenizer()
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        intermediate_size=1024,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_job(folder: Path, base_model: Path, asked: argparse.Namespace) -> JobFolder:
    """Rows that all fill the length, without eval rows and checkpoints: nothing but steps, and more than enough."""
    steps = WARM_UP_STEPS + (asked.turns + 1) * STEPS_PER_TURN
    text = "the quick brown fox jumps over the lazy dog " * asked.length
    rows = [{"text": f"{number} {text}", "split": "train"} for number in range(steps * asked.batch)]
    lasting = {"max_steps": steps, "save_every": steps + 1, "epochs": 1, "batch_size": asked.batch}
    job = toys.job(folder, base_model, rows, **lasting)
    spec = json.loads(job.spec.read_text())
    spec["training"]["max_length"] = asked.length
    job.spec.write_text(json.dumps(spec))
    return job


class Contestant:
    """A training in a process of its own that runs only while it is its turn."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment.setdefault("OMP_NUM_THREADS", "1")
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def run(self, steps: int) -> list[float]:
        """Go on for so many steps; their seconds, without the first, in which the pause fell."""
        self._process.send_signal(signal.SIGCONT)
        ends = [self._step_end() for _ in range(steps)]
        self._process.send_signal(signal.SIGSTOP)
        return [after - before for before, after in pairwise(ends)]

    def _step_end(self) -> float:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line) if line.startswith(b"{") else {}
            if event.get("kind") == "metrics":
                return float(event["time"])
        raise SystemExit("A training ended before its time; run it by hand to see why.")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Clock(TrainerCallback):  # type: ignore[misc]
    """Says when each step ends."""

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        print(json.dumps({"kind": "metrics", "time": time.time()}), flush=True)


def train_bare(job: JobFolder) -> None:
    """The same training as people write it by hand."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    spec = JobSpec.from_json(json.loads(job.spec.read_text()))
    tokenizer = AutoTokenizer.from_pretrained(job.base_model)
    length, training = spec.training["max_length"], spec.training
    rows = [json.loads(line)["text"] for line in job.dataset.read_text().splitlines()]
    encoded = [tokenizer(row, truncation=True, max_length=length)["input_ids"] for row in rows]
    model = AutoModelForCausalLM.from_pretrained(job.base_model, dtype=torch.float32)
    options = spec.options
    linears = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=options["rank"], lora_alpha=options["alpha"], target_modules=linears
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=training["max_steps"],
            per_device_train_batch_size=training["batch_size"],
            learning_rate=training["learning_rate"],
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available(),
            disable_tqdm=True,
        )
        Trainer(
            model=get_peft_model(model, config),
            args=arguments,
            train_dataset=[{"input_ids": ids, "labels": ids} for ids in encoded],
            data_collator=_stacked,
            callbacks=[Clock()],
        ).train()


def _stacked(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    ids = torch.tensor([row["input_ids"] for row in rows])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


def compare(asked: argparse.Namespace) -> None:
    """Print a table: the median step of both in every turn, then over all of them."""
    with tempfile.TemporaryDirectory() as folder:
        base_model = asked.base_model or mid_toy(Path(folder) / "base")
        job = str(make_job(Path(folder) / "job", base_model, asked).path)
        contestants: list[Contestant] = []
        try:
            for arguments in (("-m", "workers.training", job), ("-m", "benchmarks.overhead", "--bare", job)):
                contestants.append(Contestant(*arguments))
                contestants[-1].run(WARM_UP_STEPS)
            take_turns(contestants, asked.turns)
        finally:
            for contestant in contestants:
                contestant.end()


def take_turns(contestants: list[Contestant], turns: int) -> None:
    print(f"{'turn':<8}{'ours, s/step':>14}{'bare, s/step':>14}{'ratio':>8}")
    for turn in range(1, turns + 1):
        # Every other turn begins with the other one, so that neither always meets the warmer machine.
        measured = {}
        for contestant in contestants[:: 1 if turn % 2 else -1]:
            measured[contestant] = contestant.run(STEPS_PER_TURN)
            contestant.seconds += measured[contestant]
        print_line(str(turn), *(statistics.median(measured[each]) for each in contestants))
    print_line("median", *(statistics.median(each.seconds) for each in contestants))
    print_line("fastest", *(min(each.seconds) for each in contestants))
    print(f"Goal: at most {GOAL:.2f} times the bare script's time.")


def print_line(name: str, own: float, other: float) -> None:
    print(f"{name:<8}{own:>14.4f}{other:>14.4f}{own / other:>8.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-model", type=Path, help="folder of a Llama-like base model; left out, a toy of 13 M")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128, help="tokens of every row")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bare:
        train_bare(JobFolder(asked.bare))
    else:
        compare(asked)


if __name__ == "__main__":
    main()
