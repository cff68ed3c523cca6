"""A token report is what a training does with the rows: the same encoder, the same loss mask."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training import toys
from tests.training.architectures import t5_folder
from tests.training.conftest import ListedEvents, MakeJob, Trainer
from workers.protocol import InspectionFolder, JobSpec
from workers.training import token_report
from workers.training.base_model import training_tokenizer
from workers.training.data import encoded, encoder_for, load
from workers.training.failures import RowRefused
from workers.training.inspection import answer


def reported(
    path: Path, base_model: Path, rows: list[dict[str, Any]], max_length: int = 512, **question: Any
) -> dict[str, Any]:
    folder = InspectionFolder(path)
    folder.output.mkdir(parents=True)
    shutil.copytree(base_model, folder.inputs / "base_model", ignore=shutil.ignore_patterns("*.safetensors"))
    (folder.inputs / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"kind": "token_report", "labels": [], "max_length": max_length, "rows": len(rows), **question}
    folder.question.write_text(json.dumps(asked))
    said: dict[str, Any] = answer(folder)
    return said


def test_prompts_are_read_and_completions_learnt(decoder: Path, tmp_path: Path) -> None:
    said = reported(tmp_path / "a", decoder, toys.sums(12), task="causal-lm")
    assert (said["rows"], said["cut_rows"], said["nothing_to_learn"], said["distance"]) == (12, 0, 0, 1)
    assert sum(rows for _, rows in said["lengths"]) == 12
    assert sum(length * rows for length, rows in said["lengths"]) == said["tokens"]
    row = said["shown"][0]
    text = "".join(token for token, _, _ in row["tokens"])
    learnt = "".join(token for token, trained, special in row["tokens"] if trained and not special)
    assert text.startswith("say ")
    assert learnt == toys.sums(1)[0]["completion"]
    assert row["tokens"][-1][1:] == [True, True], "the end token is learnt, and it is the tokenizer's own"
    assert row["supervised"] == sum(trained for _, trained, _ in row["tokens"])


def test_it_counts_what_a_training_counts(
    complete_text: MakeJob, train: Trainer, decoder: Path, tmp_path: Path
) -> None:
    job = complete_text(max_steps=1)
    plan_rows = train(job).of("plan")[0]["first_rows"]
    rows = [json.loads(line) for line in job.dataset.read_text().splitlines()]
    max_length = json.loads(job.spec.read_text())["training"]["max_length"]
    said = reported(tmp_path / "a", decoder, rows, max_length, task="causal-lm")
    for shown, trained in zip(said["shown"], plan_rows, strict=False):
        marked = "".join(run["text"] for run in trained["runs"] if run["trained"])
        assert "".join(text for text, learnt, _ in shown["tokens"] if learnt) == marked
        assert shown["length"] == trained["tokens"]


def test_cuts_and_rows_with_nothing_left_are_counted(decoder: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": "p" * 40, "completion": "c", "split": "train"},
        {"prompt": "", "completion": "c" * 40, "split": "train"},
        {"prompt": "a", "completion": "b", "split": "eval"},
    ]
    said = reported(tmp_path / "a", decoder, rows, 12, task="causal-lm")
    assert said["cut_rows"] == 2
    assert said["cut_tokens"] == sum(row["cut"] for row in said["shown"])
    assert said["lengths"][-1][0] > 12, "a length is told as it was before the cut"
    assert all(len(row["tokens"]) <= 12 for row in said["shown"])


def test_a_class_is_learnt_from_tokens_that_are_only_read(encoder: Path, tmp_path: Path) -> None:
    said = reported(tmp_path / "a", encoder, toys.opinions(8), 6, task="text-classification", labels=["no", "yes"])
    assert said["cut_rows"] > 0
    assert not any(trained for row in said["shown"] for _, trained, _ in row["tokens"])
    assert said["shown"][0]["tokens"][0][2], "the tokenizer's own first token"


def test_a_target_stands_below_its_source(tmp_path: Path) -> None:
    base_model = t5_folder(tmp_path / "t5")
    said = reported(tmp_path / "a", base_model, toys.echoes(4), task="seq2seq")
    assert toys.echoes(1)[0]["target"] in said["shown"][0]["answer"]
    assert said["nothing_to_learn"] == 0
    rows = [
        {"source": "a b", "target": "c " * 50, "split": "train"},
        {"source": "d " * 30, "target": "e", "split": "train"},
    ]
    said = reported(tmp_path / "b", base_model, rows, 20, task="seq2seq")
    assert [row["length"] for row in said["shown"]] == [101, 61], "the longer side, with its end token"
    assert said["cut_rows"] == 2
    assert said["cut_tokens"] == 81 + 41


def test_of_many_rows_some_at_even_distances_are_read(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_report, "ROWS_READ", 4)
    said = reported(tmp_path / "a", decoder, toys.sums(10), task="causal-lm")
    assert (said["distance"], said["rows"]) == (3, 4)
    assert [row["number"] for row in said["shown"]] == [1, 4, 7, 10]


ALTERNATES = (
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate.') }}"
    "{% endif %}<|start|>{{ message['role'] }} {{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant {% endif %}"
)
CALLS = (
    "{% for message in messages %}<|start|>{{ message['role'] }} {{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}{{ call['function'] | tojson }}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant {% endif %}"
)


def talk(*turns: str) -> dict[str, Any]:
    """Turns by their first letter: user, assistant, system, or an assistant that calls a tool."""
    named = {"u": "user", "a": "assistant", "s": "system", "c": "assistant"}
    called = [{"type": "function", "function": {"name": "weather", "arguments": {"town": "Bonn"}}}]
    messages = [
        {"role": named[turn], "content": turn * 3, **({"tool_calls": called} if turn == "c" else {})} for turn in turns
    ]
    return {"messages": messages, "split": "train", "line": 7}


def with_template(folder: Path, decoder: Path, template: str) -> Path:
    shutil.copytree(decoder, folder, ignore=shutil.ignore_patterns("*.jinja"))
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": template}))
    return folder


@pytest.mark.parametrize(
    ("turns", "template", "code"),
    [
        ("uua", ALTERNATES, "turns_not_alternating"),
        ("uasua", ALTERNATES, "system_not_first"),
        ("sua", ALTERNATES, "template_refuses"),
        ("uc", toys.CHAT_TEMPLATE, "tool_calls_unsupported"),
        ("uc", CALLS, ""),
        ("uua", toys.CHAT_TEMPLATE, ""),
        ("uasua", toys.CHAT_TEMPLATE, ""),
    ],
)
def test_what_a_template_refuses_is_counted_by_reason_and_ends_a_training(
    decoder: Path, tmp_path: Path, turns: str, template: str, code: str
) -> None:
    base_model = with_template(tmp_path / "model", decoder, template)
    rows = [talk(*"ua"), talk(*turns), talk(*turns)]
    said = reported(tmp_path / "a", base_model, rows, task="causal-lm")
    places = [{"number": 2, "line": 7}, {"number": 3, "line": 7}]
    assert [(each["code"], each["rows"], each["first"]) for each in said["refused"]] == [(code, 2, places)] * bool(code)
    assert said["rows"] == 3 - 2 * bool(code)
    encode = encoder_for("causal-lm", (), 512, training_tokenizer(base_model), 0)
    if not code:
        assert encoded(encode, rows[1], 2).supervised
        return
    with pytest.raises(RowRefused, match=r"^Row 2 cannot be trained on: the base model's chat template ") as refused:
        encoded(encode, rows[1], 2)
    assert (refused.value.reason, refused.value.detail) == ("bad_data", {"code": code, "row": 2})


def test_rows_too_long_and_rows_without_anything_to_learn_are_named(decoder: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "completion": "b", "split": "train", "line": 3},
        {"prompt": "a", "completion": "b" * 40, "split": "train", "line": 9},
        {"text": "", "split": "train"},
    ]
    said = reported(tmp_path / "a", decoder, rows, 12, task="causal-lm", one_in=5)
    (long,) = said["long"]
    assert (long["number"], long["line"], long["length"], long["cut"]) == (6, 9, 42, 30)
    assert long["kept"] == "b" * 12, "the prompt goes first"
    assert said["nothing"] == [{"number": 11, "line": None}]
    assert said["distance"] == 5


@pytest.mark.parametrize(("long_rows", "left", "lengths"), [("cut", 2, [4, 12]), ("leave out", 1, [4])])
def test_a_training_cuts_long_rows_or_leaves_them_out(
    decoder: Path, tmp_path: Path, long_rows: str, left: int, lengths: list[int]
) -> None:
    rows = [{"prompt": "a", "completion": completion, "split": "train"} for completion in ("bb", "b" * 40)]
    job = toys.job(tmp_path / "job", decoder, rows, max_length=12, long_rows=long_rows)
    events = ListedEvents(tmp_path / "events")
    spec = JobSpec.from_json(json.loads(job.spec.read_text()))
    found = load(job.dataset, spec, training_tokenizer(job.base_model), 0, events)
    assert [len(sample.input_ids) for sample in found.train] == lengths
    said = [event["text"] for event in events.said() if event["level"] == "warning"]
    assert said == ["1 train rows were left out: longer than 12 tokens."] * (2 - left)


def test_rows_that_do_not_fit_the_task_are_named(encoder: Path, tmp_path: Path) -> None:
    said = reported(tmp_path / "a", encoder, toys.sums(2), task="text-classification", labels=["no"])
    assert said["problem"]["code"] == "tokens.rows"
    assert "Row 1" in said["problem"]["message"]
