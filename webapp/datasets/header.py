"""Names of columns: each once, so that a row can be a plain object."""

from __future__ import annotations

from webapp.datasets.problems import Problems


def renamed(names: list[str], problems: Problems, line: int | None = None) -> list[str]:
    """The names, the second `text` as `text_2`, if that was chosen; else as they are."""
    if problems.chosen.get("duplicate_column") != "rename_columns":
        return names
    made: list[str] = []
    for name in names:
        new, number = name, 1
        while name and (new in made or (new != name and new in names)):
            number += 1
            new = f"{name}_{number}"
        made.append(new)
        if new != name:
            message = f"A further column `{name[:60]}` is read as `{new[:60]}`, as chosen."
            problems.notice("column_renamed", message, line=line, field=name)
    return made
