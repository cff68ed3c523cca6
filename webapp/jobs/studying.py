"""Starts a study's jobs and treats them as one: same data, base model and budget; method, size and seed differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from webapp.accounts.models import AuditEntry, Role, Team, User
from webapp.accounts.permissions import require
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion
from webapp.jobs import transitions
from webapp.jobs.launching import Launch, launch, pairing
from webapp.jobs.models import AT_WORK, Job, JobState, Study
from webapp.jobs.refusing import FieldProblem, LaunchRefused
from workers.methods import METHODS
from workers.methods.method import Method
from workers.methods.options import describe

JOBS_AT_MOST = 64
SIZES = ("rank", "target_rank", "bottleneck", "length", "dimension", "k", "block_size")
"""The option that says how large a delta is, by the first of these names that a method has."""
SUGGESTED_STEPS = 100
OWN_PER_JOB = ("learning_rate", "seed", "eval_every", "save_every")
"""Fields of the training that belong to a method or a repeat, or follow from the others: never part of the budget."""


@dataclass(frozen=True)
class Arm:
    """One method in a study, in one or several sizes."""

    method: str
    sizes: tuple[int, ...] = ()
    """Empty: the method's own size."""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyWish:
    """What a person chose for a study."""

    team: Team
    base_model: BaseModel
    dataset_version: DatasetVersion
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (17,)
    training: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    pool: dict[str, Any] = field(default_factory=dict)
    """Fields of QueueOptions."""


def size_option(method: Method) -> str | None:
    """The name of the option that says how large the delta is; None where a method has no size."""
    names = {fact.name for fact in describe(method.options)}
    return next((name for name in SIZES if name in names), None)


def size_of(job: Job) -> int | None:
    """The size of a job's delta, from its frozen options."""
    method = METHODS.get(job.method)
    name = size_option(method) if method else None
    value = job.spec.get("options", {}).get(name) if name else None
    return value if isinstance(value, int) else None


def start(user: User, wanted: StudyWish) -> Study:
    """Queue all jobs of a new study, or none. Raises LaunchRefused with every problem, NotAllowed, DiskNearlyFull."""
    require(user, wanted.team.pk, Role.MEMBER)
    _check(wanted, held=0)
    with transaction.atomic():
        study = Study.objects.create(
            team=wanted.team,
            name=wanted.name.strip()[:120] or f"Study of {wanted.dataset_version} on {wanted.base_model.name}"[:120],
            created_by=user,
            base_model=wanted.base_model,
            dataset_version=wanted.dataset_version,
            training=wanted.training,
        )
        _launch_all(user, study, wanted.arms, wanted.seeds, wanted.pool)
        AuditEntry.note(user, wanted.team, "study.start", study.pk, jobs=study.jobs.count())
    return study


def add(user: User, study: Study, arms: Sequence[Arm], seeds: Sequence[int], pool: dict[str, Any]) -> list[Job]:
    """Further methods, sizes or seeds, with the budget that the study began with. Raises as `start`."""
    require(user, study.team_id, Role.MEMBER)
    wish = StudyWish(
        study.team,
        study.base_model,
        study.dataset_version,
        tuple(arms),
        tuple(seeds),
        study.training,
    )
    _check(wish, held=study.jobs.count())
    with transaction.atomic():
        jobs = _launch_all(user, study, arms, seeds, pool)
        AuditEntry.note(user, study.team, "study.add", study.pk, jobs=len(jobs))
    return jobs


def _check(wanted: StudyWish, held: int) -> None:
    count = held + len(wanted.seeds) * sum(max(1, len(arm.sizes)) for arm in wanted.arms)
    problems = []
    if not wanted.arms:
        problems.append(FieldProblem("methods", "study.no_method", "No method is chosen.", "Choose at least one."))
    if not wanted.seeds:
        problems.append(FieldProblem("seeds", "study.no_seed", "No seed is given.", "Give at least one, such as 17."))
    if count > JOBS_AT_MOST:
        message = f"These are {count:,} jobs; a study has at most {JOBS_AT_MOST}."
        problems.append(FieldProblem("methods", "study.too_many", message, "Take fewer methods, sizes or seeds."))
    own = [name for name in OWN_PER_JOB if name in wanted.training]
    problems += [
        FieldProblem(f"training.{name}", "study.own_per_job", f"`{name}` is not part of a common budget.", "Leave it.")
        for name in own
    ]
    problems += [problem for arm in wanted.arms for problem in _about(arm, wanted)]
    if problems:
        raise LaunchRefused(problems)


def _about(arm: Arm, wanted: StudyWish) -> Iterable[FieldProblem]:
    method = METHODS.get(arm.method)
    if method is None:
        yield FieldProblem("methods", "study.method", f"There is no method `{arm.method}` here.", "See the list.")
    elif arm.sizes and size_option(method) is None:
        message = f"{method.title} has no size to vary."
        yield FieldProblem(f"sizes.{arm.method}", "study.no_size", message, "Leave its sizes empty.")
    elif why := pairing(wanted.base_model, wanted.dataset_version, arm.method):
        yield FieldProblem("methods", "study.pairing", why, "Leave this method out.")


def _launch_all(user: User, study: Study, arms: Sequence[Arm], seeds: Sequence[int], pool: dict[str, Any]) -> list[Job]:
    """Seed by seed, so that a first look at all methods comes before the repeats."""
    return [
        launch(user, _of_arm(study, arm, size, seed, pool))
        for seed in dict.fromkeys(seeds)
        for arm in arms
        for size in (dict.fromkeys(arm.sizes) or (None,))
    ]


def _of_arm(study: Study, arm: Arm, size: int | None, seed: int, pool: dict[str, Any]) -> Launch:
    method = METHODS[arm.method]
    option = size_option(method)
    options = {**arm.options, **({option: size} if option and size is not None else {})}
    named = f"{method.title}{f' {size}' if size is not None else ''} · seed {seed}"
    return Launch(
        team=study.team,
        base_model=study.base_model,
        dataset_version=study.dataset_version,
        method=arm.method,
        options=options,
        training={**study.training, "seed": seed},
        name=named,
        queue=pool,
        study=study,
    )


def suggested(base_model: BaseModel, version: DatasetVersion) -> tuple[tuple[Arm, ...], dict[str, Any]]:
    """All methods that can work here, each in its own size, with a small budget; full fine-tuning is among them."""
    arms = tuple(Arm(name) for name in METHODS if pairing(base_model, version, name) is None)
    return arms, {"max_steps": SUGGESTED_STEPS}


@dataclass(frozen=True)
class Progress:
    """A study as a whole."""

    counts: Counter[str]
    share: float
    """Of all its steps, 0 to 1; a job that has not begun counts as the mean of those that have."""
    seconds_left: float | None
    """Of training time, all jobs one after another; None until a job has a pace."""

    @property
    def states(self) -> dict[str, int]:
        """How many jobs are in each state; a template would ask a Counter for its item `items`."""
        return dict(self.counts)

    @property
    def jobs(self) -> int:
        return self.counts.total()

    @property
    def open(self) -> int:
        return sum(self.counts[state] for state in (*AT_WORK, JobState.QUEUED, JobState.PAUSED))


def progress(jobs: Sequence[Job]) -> Progress:
    """From the rows alone."""
    counts = Counter(str(job.state) for job in jobs)
    done = [1.0 if job.ended else job.progress for job in jobs]
    begun = [job for job in jobs if job.total_steps]
    lengths = [job.total_steps * job.seconds_per_step for job in begun if job.seconds_per_step]
    usual = sum(lengths) / len(lengths) if lengths else None
    left = None
    if usual is not None:
        left = sum((1 - share) * _length(job, usual) for job, share in zip(jobs, done, strict=True))
    return Progress(counts, sum(done) / len(done) if done else 0.0, left)


def _length(job: Job, usual: float) -> float:
    return job.total_steps * job.seconds_per_step if job.total_steps and job.seconds_per_step else usual


@dataclass(frozen=True)
class Acted:
    """How many jobs an action reached, and how many it could not."""

    done: int
    refused: int


def act(study: Study, user: User, action: str) -> Acted:
    """Pause, resume or cancel every job of a study that can now be; jobs one by one, each with its own rules."""
    require(user, study.team_id, Role.MEMBER)
    done = refused = 0
    for job in study.jobs.select_related("team").order_by("id"):
        if action not in transitions.actions(job, user):
            continue
        try:
            transitions.act(job, user, action)
            done += 1
        except transitions.NotNow:
            refused += 1  # it changed while we were at it
    AuditEntry.note(user, study.team, f"study.{action}", study.pk, jobs=done)
    return Acted(done, refused)
