"""Writes the model card of a delta artifact: results, origin, and how to load it with stock libraries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from workers.methods import METHODS
from workers.protocol import JobSpec
from workers.training.methods.equipping import AUTO_CLASSES

FILE = "README.md"
NAMES = {
    "eval_accuracy": "accuracy",
    "eval_f1": "macro F1",
    "eval_loss": "loss per label",
    "eval_perplexity": "perplexity",
    "eval_majority_share": "share of the commonest label",
}
"""What the table of results shows, in this order."""


TAGS = {
    "text-classification": "text-classification",
    "causal-lm": "text-generation",
    "seq2seq": "text2text-generation",
}
"""The hub's word for each task."""


@dataclass(frozen=True)
class Results:
    """What a training came to."""

    before: dict[str, float]
    """Evaluation before the first step; empty without eval rows."""
    after: dict[str, float]
    """Evaluation of exactly the weights that are exported."""
    step: int
    """The step they come from."""
    trainable_parameters: int
    total_parameters: int
    eval_rows: int
    notes: list[str]


LOADING = "## Load it\n\n"
MERGE_FIRST = "\nmodel = model.merge_and_unload()  # unmerged, every token would take several times as long\n"


def write(spec: JobSpec, snippet: str, versions: dict[str, str], results: Results) -> str:
    """The card as Markdown with the hub's front matter."""
    parts = [
        _front_matter(spec),
        f"# {spec.name}\n\n{_origin(spec, results)}",
        f"## Results\n\n{_table(results)}",
        "\n".join(f"> {note}" for note in results.notes),
        f"{LOADING}```python\n{snippet}{_use(spec)}```",
        f"## How it was trained\n\n```json\n{_settings(spec)}\n```\n\n{_with(versions)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def of_merged(delta_card: str, spec: JobSpec, parity: dict[str, Any]) -> str:
    """The card of a delta, rewritten for the model that it was merged into."""
    kind = AUTO_CLASSES[spec.task]
    snippet = f"""\
import torch
from transformers import AutoTokenizer, {kind}

folder = "."  # the folder of this card
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {kind}.from_pretrained(folder).eval()
"""
    proof = (
        f"The delta is merged into the weights ({parity['dtype']}); nothing but transformers is needed. On rows of "
        f"random tokens its logits are within {parity['max_logit_difference']:.2g} of those of base model and delta, "
        f"and {parity['same_choice_share']:.1%} of its choices are the same."
    )
    text = re.sub(r"^library_name: .*$", "library_name: transformers", delta_card, count=1, flags=re.MULTILINE)
    before, _, rest = text.partition(LOADING)
    after = rest.partition("```python\n")[2].partition("```")[2]
    return f"{before}{LOADING}{proof}\n\n```python\n{snippet}{_use(spec)}```{after}"


def _front_matter(spec: JobSpec) -> str:
    library = "peft" if "peft" in METHODS[spec.method].servable else "transformers"
    tag = TAGS[spec.task]
    base = json.dumps(spec.base_model.source or spec.base_model.name, ensure_ascii=False)
    return f"---\nlibrary_name: {library}\npipeline_tag: {tag}\nbase_model: {base}\n---"


def _origin(spec: JobSpec, results: Results) -> str:
    share = results.trainable_parameters / results.total_parameters
    revision = f", revision `{spec.base_model.revision}`" if spec.base_model.revision else ""
    return (
        f"{METHODS[spec.method].title} of **{spec.base_model.name}** ({spec.base_model.source}{revision}) "
        f"on **{spec.dataset.name}**, version {spec.dataset.number}.\n"
        f"{results.trainable_parameters:,} of {results.total_parameters:,} parameters trained ({share:.3%}); "
        f"the weights are those of step {results.step:,}."
    )


def _table(results: Results) -> str:
    if not results.after:
        return "The dataset version has no eval rows; nothing was measured."
    lines = [f"On {results.eval_rows:,} held-out rows.", "", "| | before training | this delta |", "|---|---:|---:|"]
    for key, name in NAMES.items():
        if key in results.after:
            before = f"{results.before[key]:.4f}" if key in results.before else ""
            lines.append(f"| {name} | {before} | {results.after[key]:.4f} |")
    return "\n".join(lines)


def _use(spec: JobSpec) -> str:
    if spec.task == "text-classification":
        return f"""\
model.config.pad_token_id = tokenizer.pad_token_id

texts = ["Write your own texts here."]
batch = tokenizer(texts, padding=True, truncation=True, max_length={spec.training["max_length"]}, return_tensors="pt")
with torch.no_grad():
    classes = model(**batch).logits.argmax(-1).tolist()
print([model.config.id2label[number] for number in classes])
"""
    if spec.task == "seq2seq":
        return """\

source = "Write your own text here."
batch = tokenizer(source, return_tensors="pt")
output = model.generate(**batch, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(output[0], skip_special_tokens=True))
"""
    return """\

prompt = "Write your own prompt here."
batch = tokenizer(prompt, return_tensors="pt")
output = model.generate(**batch, max_new_tokens=64, do_sample=False, pad_token_id=tokenizer.pad_token_id)
print(tokenizer.decode(output[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def _settings(spec: JobSpec) -> str:
    settings: dict[str, Any] = {"method": spec.method, "options": spec.options, "training": spec.training}
    return json.dumps(settings, indent=2, ensure_ascii=False)


def _with(versions: dict[str, str]) -> str:
    return "Trained with Deltaboard: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
