"""The form of the columns step: how the file is read, what a row is, and which column plays which part."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from webapp.datasets.choices import ASK, DELIMITERS, HEADERS
from webapp.datasets.choosing import fixes_of
from webapp.datasets.encodings import CHOICES
from webapp.datasets.mapping import OPTIONAL, SHAPES
from webapp.datasets.models import DatasetVersion
from webapp.datasets.uploading import UploadRefused

Shape = tuple[str, ...]
WORDS: dict[Shape, tuple[str, str]] = {
    ("text", "label"): ("Text classification", "A text and the label it gets; two texts for pairs."),
    ("messages",): ("Chat", "A list of turns with role and content (OpenAI), or from and value (ShareGPT)."),
    ("prompt", "completion"): ("Prompt and completion", "A causal LM learns to write the completion."),
    ("text",): ("Plain text", "A causal LM learns to write the whole text."),
    ("source", "target"): ("Text to text", "An encoder-decoder writes the target for the source."),
}
OFFERED = [(task, shape) for task in SHAPES for shape in SHAPES[task]]
PART_WORDS = {"text_pair": "second text"}


def key_of(task: str, shape: Shape) -> str:
    return f"{task}-{'-'.join(shape)}"


def shapes_form(version: DatasetVersion) -> list[dict[str, Any]]:
    """What a row can be: each with its parts, and the column that plays each now."""
    now = set(version.mapping)
    made = []
    for task, shape in OFFERED:
        optional = OPTIONAL.get(shape, ())
        chosen = version.task == task and set(shape) <= now <= {*shape, *optional}
        parts = [(part, PART_WORDS.get(part, part), part in optional) for part in (*shape, *optional)]
        shown = [
            {"part": part, "word": word, "optional": spare, "column": version.mapping.get(part, "") if chosen else ""}
            for part, word, spare in parts
        ]
        title, about = WORDS[shape]
        made.append({"key": key_of(task, shape), "title": title, "about": about, "parts": shown, "chosen": chosen})
    return made


def reading_form(version: DatasetVersion) -> dict[str, Any]:
    """How the file is read, and what else it could be."""
    found, asked = version.found, version.asked
    is_table = "delimiter" in found
    entries = [each["value"] for each in version.offers.get("choose_entry", [])]
    return {
        "delimiters": [(each, name, each == found["delimiter"]) for each, name in DELIMITERS.items()]
        if is_table
        else [],
        "headers": [(each, name, each == found["header"]) for each, name in HEADERS.items()] if is_table else [],
        "encodings": [(each, name, each == asked.get("encoding")) for each, name in CHOICES.items()],
        "entries": [(each, each == asked.get("entry")) for each in entries],
        "previews": version.offers.get("convert_encoding", []),
    }


def wishes_of_columns(form: QueryDict) -> dict[str, Any]:
    """What the form asks for, in the words of deciding.py. Raises UploadRefused naming the part without a column."""
    wishes: dict[str, Any] = {name: form.get(name, "") for name in ("delimiter", "header", "encoding", "entry")}
    wishes |= {"warnings": ASK, "fixes": fixes_of(form)}
    chosen = next(((task, shape) for task, shape in OFFERED if key_of(task, shape) == form.get("shape")), None)
    if chosen is None:
        return wishes
    task, shape = chosen
    parts = (*shape, *OPTIONAL.get(shape, ()))
    given = {part: form.get(f"map.{key_of(task, shape)}.{part}", "") for part in parts}
    wishes |= {"task": task, "mapping": {part: column for part, column in given.items() if column}}
    if form.get("go") == "check" and (missing := next((part for part in shape if not given[part]), "")):
        hint = "Choose a column for it, or another kind of row."
        raise UploadRefused("dataset.mapping", f"No column is chosen as {missing}.", hint)
    return wishes
