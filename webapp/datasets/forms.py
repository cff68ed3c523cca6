"""The upload form: a file, a name, and what the check should not have to guess."""

from __future__ import annotations

from typing import Any

from django import forms

from webapp.datasets.choices import ASK

TASKS = (
    ("", "Find out from the columns"),
    ("text-classification", "Text classification"),
    ("causal-lm", "Causal LM"),
    ("seq2seq", "Text to text (seq2seq)"),
)
PARTS = ("text", "label", "prompt", "completion", "messages", "source", "target")
"""What a column can be mapped to."""


class UploadForm(forms.Form):
    """Everything but the file may be left out."""

    file = forms.FileField(
        allow_empty_file=True,  # the check says what an empty file lacks
        max_length=255,
        error_messages={"required": "Choose a file.", "max_length": "The file's name is too long."},
    )
    name = forms.CharField(max_length=120, required=False)
    task = forms.ChoiceField(choices=TASKS, required=False)
    eval_percent = forms.FloatField(
        required=False,
        min_value=1,
        max_value=50,
        error_messages={
            "invalid": "Give a number of percent, such as 10.",
            "min_value": "Hold out 1 to 50 percent.",
            "max_value": "Hold out 1 to 50 percent.",
        },
    )

    def mapping(self) -> dict[str, str]:
        """Column names by what they mean, as far as they were given."""
        given = {part: str(self.data.get(f"map.{part}", "")).strip()[:200] for part in PARTS}
        return {part: column for part, column in given.items() if column}

    def asked(self) -> dict[str, Any]:
        """In the words of the check."""
        percent = self.cleaned_data.get("eval_percent")
        split = {"kind": "fraction", "fraction": percent / 100} if percent else None
        task = self.cleaned_data.get("task") or None
        return {"task": task, "mapping": self.mapping() or None, "split": split, "warnings": ASK}
