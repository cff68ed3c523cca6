"""A job's name and note: the only things about it that a person may change once it is queued."""

from __future__ import annotations

from webapp.accounts.models import AuditEntry, Role, User
from webapp.accounts.permissions import require
from webapp.jobs.models import Job
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from webapp.plain_text import clean_name

NAME_LENGTH, REMARK_LENGTH = 120, 500


def describe(job: Job, user: User, name: str, remark: str) -> None:
    """Raises NotAllowed; LaunchRefused naming the field."""
    require(user, job.team_id, Role.MEMBER)
    named, noted = clean_name(name), clean_name(remark)
    problems = []
    if not named:
        problems.append(FieldProblem("name", "job.name", "A job needs a name.", "Write at least one letter."))
    for field, text, most in (("name", named, NAME_LENGTH), ("remark", noted, REMARK_LENGTH)):
        if len(text) > most:
            said = f"The {'note' if field == 'remark' else field} has {len(text):,} characters."
            problems.append(FieldProblem(field, f"job.{field}", said, f"Use at most {most}."))
    if problems:
        raise LaunchRefused(problems)
    Job.objects.filter(pk=job.pk).update(name=named, remark=noted)
    AuditEntry.note(user, job.team, "job.describe", job.pk)
