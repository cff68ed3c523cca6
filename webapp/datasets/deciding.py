"""What a person decides about a version after its check: the upload is then read again, as a new version."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from webapp.accounts.models import Role, User
from webapp.accounts.permissions import require
from webapp.datasets.choices import ASK, DELIMITERS, HEADERS
from webapp.datasets.encodings import CHOICES
from webapp.datasets.models import DatasetVersion, VersionState
from webapp.datasets.problems import ACCEPT, OFFERED
from webapp.datasets.splitting import fault_of
from webapp.datasets.token_problems import acceptable
from webapp.datasets.uploading import UploadRefused, require_not_archived, version_from_stored

ASKED_AGAIN = ("task", "mapping", "split")
CHOICES_AT_MOST = 100
ENTRIES = ("choose_entry", "choose_second_entry")
"""Fixes that say which file of a zip to read: of the file itself, of the second one."""


def decide(user: User, version: DatasetVersion, wishes: dict[str, Any]) -> DatasetVersion:
    """A new version of the same upload, in `checking`, with these wishes on top of those it had.

    `wishes`: `fixes` (a list of code, fix or nothing, and perhaps value), and whatever else shall differ: task,
    mapping, split, encoding, delimiter, entry. Raises UploadRefused, NotAllowed.
    """
    require(user, version.dataset.team_id, Role.MEMBER)
    require_not_archived(version.dataset)
    asked = asked_with(version, wishes)
    with transaction.atomic():
        now = DatasetVersion.objects.select_for_update().get(pk=version.pk)
        require_readable(now)
        new = version_from_stored(user, now.dataset, now.upload_key, now.upload_bytes, now.upload_name, asked)
        DatasetVersion.objects.filter(pk=new.pk).update(
            made_from=now, second_key=now.second_key, second_name=now.second_name
        )
    return new


def asked_with(version: DatasetVersion, wishes: dict[str, Any]) -> dict[str, Any]:
    """What is asked of the check with these wishes on top. Raises UploadRefused where one is not on offer."""
    asked = {**version.asked, **_wished(wishes)}
    fixes = dict(version.asked.get("fixes") or {})
    for place, each in enumerate(wishes.get("fixes") or []):
        _take(each, place, version, asked, fixes)
    asked["fixes"] = fixes
    asked.pop("warnings", None)
    if wishes.get("warnings") == ASK:
        asked["warnings"] = ASK
    return asked


def require_readable(version: DatasetVersion) -> None:
    """Raises UploadRefused where the upload is being read, or is no longer there."""
    if version.state == VersionState.CHECKING:
        raise _refused("state", "The file is still being checked.", "Wait for the result.", 409)
    if not version.upload_kept:
        message = "The uploaded file of this version is no longer kept, so it cannot be read again."
        raise _refused("upload_gone", message, "Upload it again as a new version.", 409)


def require_split(split: dict[str, Any] | None) -> None:
    """Raises UploadRefused where it can be the split of no file."""
    if split and (fault := fault_of(split)):
        raise _refused("split", f"`split.{fault.field}`: {fault.message}", fault.hint)


def _refused(code: str, message: str, hint: str, status: int = 422) -> UploadRefused:
    return UploadRefused(f"dataset.{code}", message, hint, status)


def _wished(wishes: dict[str, Any]) -> dict[str, Any]:
    """Everything but the fixes, as far as it was given."""
    found = {name: wishes[name] for name in ASKED_AGAIN if wishes.get(name)}
    require_split(found.get("split"))
    return found | how_to_read(wishes)


def how_to_read(wishes: dict[str, Any]) -> dict[str, Any]:
    """Encoding, delimiter, header and entry, as far as they were given. Raises UploadRefused where one is not known."""
    found = {"entry": wishes["entry"]} if wishes.get("entry") else {}
    for name, known in (("encoding", CHOICES), ("delimiter", DELIMITERS), ("header", HEADERS)):
        value = wishes.get(name)
        if not value:
            continue
        if value not in known:
            named = ", ".join(DELIMITERS.values() if name == "delimiter" else known)
            raise _refused(name, f"`{str(value)[:40]}` is no {name} that is known here.", f"Choose one of {named}.")
        found[name] = value
    return found


def _take(each: Any, place: int, version: DatasetVersion, asked: dict[str, Any], fixes: dict[str, str]) -> None:
    """One decision into what is asked and the fixes; an empty fix takes back the one that was chosen before.

    Raises UploadRefused where it is not on offer.
    """
    code, fix = (str(each.get(name) or "") for name in ("code", "fix")) if isinstance(each, dict) else ("", "")
    short = code.removeprefix("dataset.")
    if not code or place >= CHOICES_AT_MOST:
        hint = 'Send fixes like [{"code": "dataset.ragged_row", "fix": "skip_rows"}].'
        message = f"More than {CHOICES_AT_MOST} fixes were sent." if code else f"`fixes[{place}]` names no code."
        raise _refused("fixes", message, hint)
    if short == "too_long":
        asked.pop("long_rows", None)
    if not fix:
        fixes.pop(short, None)
        return
    offered = [problem for problem in version.all_problems if problem["code"].removeprefix("dataset.") == short]
    allowed = {name for problem in offered for name in problem["fixes"]}
    if any(acceptable(problem) for problem in offered):
        allowed.add(ACCEPT)
    if fix not in allowed:
        message = f"`{fix[:40]}` is not on offer for `{code[:60]}` in this version."
        hint = f"On offer: {', '.join(sorted(allowed))}." if allowed else "This problem must be mended in the file."
        raise _refused("fix", message, hint)
    _apply(short, fix, each, version, asked, fixes)


def _apply(
    short: str, fix: str, each: dict[str, Any], version: DatasetVersion, asked: dict[str, Any], fixes: dict[str, str]
) -> None:
    values = [offer["value"] for offer in version.offers.get(fix, [])]
    if fix == "convert_encoding":
        value = each.get("value") or asked.get("encoding")
        if value not in CHOICES:
            hint = f"Send its name as `value`; these can be read: {', '.join(values) or ', '.join(CHOICES)}."
            raise _refused("encoding", "Which encoding the file has was not said.", hint)
        asked["encoding"] = value
    elif fix in ENTRIES:
        if each.get("value") not in values:
            raise _refused(
                "entry", "Which file of the zip to read was not said.", f"Send one of {', '.join(values[:20])}."
            )
        if fix == "choose_entry":
            asked["entry"] = each["value"]
        else:
            asked["second"] = {**asked.get("second", {}), "entry": each["value"]}
    elif fix == "convert_numbers":
        value = each.get("value") or (values[0] if len(values) == 1 else "")
        if value not in values:
            message = "Whether the numbers have a decimal point or a comma was not said."
            raise _refused("fix", message, f"Send {' or '.join(values)} as `value`.")
        fixes[short] = f"{fix}:{value}"
    else:
        fixes[short] = fix
    if fix in OFFERED["too_long"]:
        told = {name: version.token_stats[name] for name in ("max_length", "base_model")}
        asked["long_rows"] = {"fix": fix, **told}
