"""What each tab of a comparison shows: its figures, tables and cards, for pages and for the report alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.jobs import comparing, efficiency, said
from webapp.jobs.claims import claims
from webapp.jobs.comparing import Group, metric_name
from webapp.jobs.fronts import COSTS, front, merit_of
from webapp.jobs.grouping import config_difference
from webapp.jobs.literature import beside
from webapp.jobs.models import Job
from webapp.jobs.reference_lines import before_training
from webapp.jobs.study_curves import Course, bands, best_so_far, courses_of, legend, overlay
from webapp.jobs.study_figures import scores, sizes
from webapp.jobs.sweep_figures import by_size, memory_parts, reaching, settings_against_score
from webapp.jobs.trade_offs import ordered, trade_offs

TASKS = 100
METRICS_AT_MOST = 5


@dataclass(frozen=True)
class Look:
    """Which groups are looked at, and how."""

    groups: list[Group]
    """Without the hidden ones; slots, and so colours, stay."""
    baseline: Group | None = None
    tasks: int = TASKS
    y: str = ""
    """On the y axis of fronts: `gain` and `loss` instead of the score."""
    papers: bool = False
    """What papers print lies beside the first front."""
    sort: str = ""


def filled(tab: str, look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    return TABS[tab][1](look, jobs)


def sections_of(groups: list[Group], jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """What every tab shows, by its name; nothing without jobs."""
    return {name: fill(Look(groups), jobs) for name, (_, fill) in TABS.items()} if jobs else {}


def figure(
    name: str, title: str, drawn: dict[str, Any] | None, help: str, missing: str = "", wide: bool = False
) -> dict[str, Any]:
    """A card; where nothing is drawn, `missing` says what it would take."""
    told = {"name": name, "script_id": f"figure-{name}", "title": title, "help": help if drawn else ""}
    return told | {"drawn": drawn, "missing": missing, "wide": wide}


def _table(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    return {}


def _curves(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    courses = courses_of(look.groups)
    series = next((metric_name(job) for job in jobs if job.best_metric), "eval_loss")
    alike = "Colour is method and size; repeats with other seeds are drawn alike."
    first = "Which got there first: a step up is a better evaluation."
    few, seeds = "Needs a job with at least two points.", "Needs a method with two seeds."
    spread = "Around the mean: smallest to largest below five seeds, from five on the 95 % interval."
    logged = sorted({name for course in courses for name in course.history["series"] if name.startswith("eval_")})
    names = [series, *(name for name in logged if name != series and name not in LEFT_OUT)][:METRICS_AT_MOST]
    return {
        "figures": [
            figure("loss", "Train loss, smoothed 0.60", overlay(courses, "loss", "loss", True), alike, few, wide=True),
            *(figure(f"eval-{name}", *_titled(courses, name), alike, few) for name in names),
            figure("seeds", "Mean and range over seeds", bands(courses, series), spread, seeds),
            figure("best-time", "Best so far over time", best_so_far(courses, series, "time"), first, few),
            figure("best-tokens", "Best so far over tokens", best_so_far(courses, series, "tokens"), first, few),
            figure("best-kwh", "Best so far over energy", best_so_far(courses, series, "kwh"), first, NO_POWER),
        ],
        "legend": legend(courses, "loss"),
    }


NO_POWER = "Needs a device that tells its power; a CPU does not."
LEFT_OUT = ("eval_majority_share", "eval_predicted_classes")
"""Logged for verdicts, not for comparing."""


def _titled(courses: Sequence[Course], series: str) -> tuple[str, dict[str, Any] | None]:
    """The title and the figure of one metric."""
    words = series.replace("_", " ")
    return words.capitalize(), overlay(courses, series, words, smooth=False)


def _scores(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    panels = comparing.facets(look.groups, "score")
    help = "Below five repeats the whisker spans smallest to largest, from five on it is the 95 % interval of the mean."
    baseline = look.baseline or efficiency.full_of(look.groups)
    against = f" Dashed: {baseline.title}." if baseline else ""
    every_job = "Every job that has succeeded. A tendency, not a cause: other settings may differ, too."
    return {
        "figures": [
            *(
                figure(
                    f"scores-{place}",
                    _panel_title("Scores", place, panels),
                    scores(panel, baseline),
                    f"{help}{against}",
                    wide=True,
                )
                for place, panel in enumerate(panels)
            ),
            *(
                figure(f"setting-{place}", f"Score over {key}", drawn, every_job)
                for place, (key, drawn) in enumerate(settings_against_score(look.groups))
            ),
        ],
        "nothing": "No job has a score yet: the first comes with the first that succeeds.",
    }


def _panel_title(title: str, place: int, panels: Sequence[Any]) -> str:
    return f"{title}, comparable group {place + 1} of {len(panels)}" if len(panels) > 1 else title


def _efficiency(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    groups, base_model = look.groups, jobs[0].base_model
    full = next((group for group in groups if group.method == efficiency.FULL and group.artifact_bytes), None)
    full_bytes = int(full.artifact_bytes or 0) if full else base_model.bytes
    base = _base_score(groups)
    rows = ordered(trade_offs(groups, base), look.sort)
    return {
        "figures": [*_fronts(look, base), *_more(groups, full_bytes)],
        "y": look.y,
        "papers": look.papers,
        "papers_known": bool(beside(groups)),
        "one_method": len(groups) > 1 and len({group.method for group in groups}) == 1,
        "gain_known": bool(rows and any(row.gain for row in rows)),
        "savings": _savings(groups, full_bytes, base_model.bytes, look.tasks),
        "tasks": look.tasks,
        "memory_against_full": _memory_against_full(groups),
        "d90": efficiency.d90(groups),
        "rank90": efficiency.rank90(groups),
        "claims": claims(groups, base_model.parameters),
        "full_missing": full is None,
        "trade_offs": rows,
    }


def _base_score(groups: Sequence[Group]) -> float | None:
    """What the base model scores untouched: the evaluation at step 0 of a job here."""
    group = next((each for each in groups if each.scores), None)
    return before_training(group.finished[0], group.metric) if group else None


def _fronts(look: Look, base: float | None) -> list[dict[str, Any]]:
    figures, two = [], "Needs two comparable settings that have succeeded."
    help = "Dotted: the front. Hollow: not separable from it. Pale: something is better at no more cost. Shape: family."
    for cost in COSTS:
        panels = comparing.facets(look.groups, "score") if cost.purpose == "score" else _both(look.groups, cost.purpose)
        for place, panel in enumerate(panels or [[]]):
            papers = beside(panel) if look.papers and cost.key == "trained" and not look.y else ()
            drawn = front(panel, cost, merit_of(panel, base, look.y), papers)
            if drawn or place == 0:
                title = _panel_title(f"Score against {cost.title.split(',')[0].lower()}", place, panels)
                name = f"front-{cost.key}-{place}"
                missing = ENERGY if cost.key == "energy" else two
                figures.append(figure(name, title, drawn, help, missing, wide=cost.key == "trained"))
    return figures


ENERGY = "Needs two settings on a device that tells its power; a CPU does not."


def _both(groups: list[Group], purpose: comparing.Purpose) -> list[list[Group]]:
    """A score against memory or time: both must be comparable."""
    return [part for panel in comparing.facets(groups, "score") for part in comparing.facets(panel, purpose)]


def _more(groups: list[Group], full_bytes: int) -> list[dict[str, Any]]:
    """Bytes, parts of memory, and sweeps over sizes."""
    d90 = efficiency.d90(groups)
    reached, shaded = reaching(groups, d90), " Shaded: the bracket." if d90.low and d90.high else ""
    real = "Real files, logarithmic. Dashed: the full checkpoint."
    parts = (
        "Parts are arithmetic, the diamond is measured; grey is what the parts leave unexplained. Dashed: the device."
    )
    return [
        figure("sizes", "Delta on disk", sizes(groups, full_bytes), real, "Needs a job that has left a delta."),
        figure("d90", "Reaching 90 % of full", reached, f"{d90.sentence}{shaded}", d90.sentence),
        figure(
            "by-size",
            "Score by size",
            by_size(groups),
            "Whiskers as in Scores. Where the line is flat, the smaller size is as good.",
            "Needs a method in two sizes that have succeeded.",
        ),
        figure(
            "memory-parts",
            "What takes the memory",
            memory_parts(groups),
            parts,
            "Needs a finished job on a base model whose shape is known.",
            wide=True,
        ),
    ]


def _savings(
    groups: list[Group], full_bytes: int, base_bytes: int, tasks: int
) -> list[tuple[Group, efficiency.Savings]]:
    return [
        (group, efficiency.savings(tasks, full_bytes, base_bytes, group.artifact_bytes))
        for group in groups
        if group.artifact_bytes and full_bytes and group.method != efficiency.FULL
    ]


def _memory_against_full(groups: list[Group]) -> list[tuple[Group, float, float]]:
    """(group, its peak, that of full fine-tuning), measured both, where the two may be compared."""
    full = next((group for group in groups if group.method == efficiency.FULL and group.memory_bytes), None)
    if full is None:
        return []
    key = comparing.key_of(full.finished[0], "memory")
    return [
        (group, group.memory_bytes, full.memory_bytes or 0)
        for group in groups
        if group is not full and group.memory_bytes and comparing.key_of(group.finished[0], "memory") == key
    ]


def _samples(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    """What each group's first job said last to the same prompts."""
    newest = said.newest([job for group in look.groups for job in group.jobs])
    first = {group: next((job for job in group.jobs if job.pk in newest), None) for group in look.groups}
    told = [(group, newest[job.pk]) for group, job in first.items() if job]
    prompts = {each.prompt: each.wanted for _, round in told for each in round.answers}
    return {
        "columns": told,
        "across": [
            (prompt, wanted, [(group, round, round.said_to(prompt)) for group, round in told])
            for prompt, wanted in prompts.items()
        ],
    }


def _config(look: Look, jobs: Sequence[Job]) -> dict[str, Any]:
    return {"settings": config_difference(jobs)}


TABS: dict[str, tuple[str, Callable[[Look, Sequence[Job]], dict[str, Any]]]] = {
    "table": ("Jobs", _table),
    "curves": ("Curves", _curves),
    "scores": ("Scores", _scores),
    "efficiency": ("Parameter efficiency", _efficiency),
    "samples": ("Samples", _samples),
    "config": ("Config", _config),
}
"""What fills a tab, by its name in the address."""
