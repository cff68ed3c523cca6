"""The upload form: a file. What is in it is looked at and confirmed on the pages that follow."""

from __future__ import annotations

from django import forms


class UploadForm(forms.Form):
    """The way in without JavaScript; with it the file comes in chunks."""

    file = forms.FileField(
        allow_empty_file=True,  # the check says what an empty file lacks
        max_length=255,
        error_messages={"required": "Choose a file.", "max_length": "The file's name is too long."},
    )
