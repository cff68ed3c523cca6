"""The new-job form, made from what methods and training say of their own options; the check is theirs, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from webapp.basemodels.models import BaseModel
from webapp.jobs.queue_options import QueueOptions
from webapp.jobs.refusing import FieldProblem
from workers.methods.hyperparameters import Training
from workers.methods.method import Method
from workers.methods.options import OptionFact, describe
from workers.methods.shape import ROLES
from workers.methods.targets import existing_roles

TRUE = "on"
LABELS = {
    "use_rslora": "rsLoRA scaling",
    "max_steps": "Most steps",
    "max_length": "Longest row, tokens",
    "gpus": "GPUs",
}


@dataclass(frozen=True)
class OptionField:
    """One field of the form: what it is, what was typed, what is wrong with it."""

    fact: OptionFact
    group: str
    value: Any
    """Text, or for a set of choices a list."""
    own: Any
    """What applies if it is left empty."""
    problem: FieldProblem | None = None
    absent: frozenset[str] = frozenset()
    """Of its choices those that the chosen base model does not have."""

    @property
    def name(self) -> str:
        return f"{self.group}.{self.fact.name}"

    @property
    def html_id(self) -> str:
        return f"{self.group}-{self.fact.name}"

    @property
    def label(self) -> str:
        return LABELS.get(self.fact.name) or self.fact.name.replace("_", " ").capitalize()

    @property
    def changed(self) -> bool:
        return self.value not in ("", None, []) and parsed(self.fact, self.value) != _plain(self.fact.default)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def parsed(fact: OptionFact, value: Any) -> Any:
    """Text to the option's type; what cannot be read stays text, and the option's own check says why."""
    if fact.type == "boolean":
        return value is True or value == TRUE
    if fact.type == "choices" or not isinstance(value, str):
        return value
    if fact.type not in ("integer", "number"):
        return value
    try:
        number = float(value.replace(",", "").replace(" ", ""))
    except ValueError:
        return value
    return int(number) if fact.type == "integer" and number.is_integer() else number


def absent_kinds(base_model: BaseModel | None) -> frozenset[str]:
    """The kinds of layers that this base model does not have; they stay ticked in the form for the next one."""
    return frozenset(ROLES).difference(existing_roles(base_model.read_shape)) if base_model else frozenset()


def sent(data: QueryDict, group: str, options: type[Any], absent: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the person set, typed; an empty field means the method's own value and is left out."""
    values: dict[str, Any] = {}
    for fact in describe(options):
        name = f"{group}.{fact.name}"
        if fact.type == "boolean":
            if f"{name}.shown" in data:
                values[fact.name] = data.get(name) == TRUE
        elif fact.type == "choices":
            if f"{name}.shown" in data:
                ticked = data.getlist(name)
                every = ticked == _plain(fact.default)
                values[fact.name] = ticked if every else [each for each in ticked if each not in absent]
        elif text := str(data.get(name, "")).strip():
            values[fact.name] = parsed(fact, text)
    return values


@dataclass(frozen=True)
class FieldGroup:
    """The fields of one options class, those for everyone first."""

    fields: list[OptionField]

    @property
    def basic(self) -> list[OptionField]:
        return [field for field in self.fields if not field.fact.advanced]

    @property
    def advanced(self) -> list[OptionField]:
        return [field for field in self.fields if field.fact.advanced]

    @property
    def advanced_open(self) -> bool:
        return any(field.problem for field in self.advanced)

    @property
    def advanced_changed(self) -> int:
        return sum(field.changed for field in self.advanced)

    @property
    def any_problem(self) -> bool:
        return any(field.problem for field in self.fields)

    @property
    def changed(self) -> int:
        return sum(field.changed for field in self.fields)


def field_group(
    group: str,
    options: type[Any],
    data: QueryDict,
    own: Mapping[str, Any],
    problems: list[FieldProblem],
    absent: frozenset[str] = frozenset(),
) -> FieldGroup:
    """Fields of one options class; `own` are the values that apply where nothing is typed."""
    return FieldGroup([_field(group, fact, data, own, problems, absent) for fact in describe(options)])


def _field(
    group: str,
    fact: OptionFact,
    data: QueryDict,
    own: Mapping[str, Any],
    problems: list[FieldProblem],
    absent: frozenset[str],
) -> OptionField:
    name = f"{group}.{fact.name}"
    default = own.get(fact.name, fact.default)
    if f"{name}.shown" in data and fact.type in ("boolean", "choices"):
        value: Any = data.get(name) == TRUE if fact.type == "boolean" else data.getlist(name)
    elif fact.type in ("boolean", "choices"):
        value = _plain(fact.default)
    else:
        value = data.get(name, "")
    problem = next((each for each in problems if each.field in (name, fact.name)), None)
    return OptionField(fact, group, value, default, problem, absent.intersection(fact.choices or ()))


def all_groups(
    method: Method,
    data: QueryDict,
    own: tuple[Mapping[str, Any], Mapping[str, Any]],
    problems: list[FieldProblem],
    absent: frozenset[str],
) -> dict[str, FieldGroup]:
    """The method's own options, those of the training, and how it is queued."""
    return {
        "option_fields": field_group("options", method.options, data, own[0], problems, absent),
        "training_fields": field_group("training", Training, data, own[1], problems),
        "queue_fields": field_group("queue", QueueOptions, data, {}, problems),
    }
