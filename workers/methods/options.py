"""Options that describe themselves: one dataclass gives the form, the API schema, the docs and the check.

A field carries its sentence, its bounds and its choices; construction checks them.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_type_hints


class OptionsError(Exception):
    """A value the user gave cannot be used: names the field, the reason and the fix."""

    def __init__(self, field: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.field, self.message, self.hint = field, message, hint


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    advanced: bool = False,
) -> Any:
    """A dataclass field that knows its sentence, bounds and choices."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "advanced": advanced}
    if isinstance(default, (list, dict)):
        raise TypeError("option defaults are immutable; use a tuple")
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class OptionFact:
    """What a form, a schema and a docs table say of one option."""

    name: str
    type: str
    """integer, number, boolean, text, or choices (a set of `choices`, sent as a list)."""
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None
    optional: bool
    """None is allowed and means: the method's own default for this base model and task."""
    advanced: bool


TYPES = {int: "integer", float: "number", bool: "boolean", str: "text"}


_DESCRIBED: dict[type[Any], tuple[OptionFact, ...]] = {}


def describe(options: type[Any]) -> tuple[OptionFact, ...]:
    """The options of a dataclass, in order; read off the class once."""
    if options not in _DESCRIBED:
        hints = get_type_hints(options)
        _DESCRIBED[options] = tuple(_fact(each, hints[each.name]) for each in fields(options))
    return _DESCRIBED[options]


def _fact(each: Field[Any], hint: Any) -> OptionFact:
    optional = type(None) in getattr(hint, "__args__", ())
    if optional:
        hint = next(kind for kind in hint.__args__ if kind is not type(None))
    kind = "choices" if getattr(hint, "__origin__", None) is tuple else TYPES[hint]
    default = None if each.default is MISSING else each.default
    return OptionFact(each.name, kind, default, optional=optional, **each.metadata)


class Options:
    """Base of every options dataclass: construction checks types, bounds and choices.

    Raises OptionsError, which names the field, the reason and the fix.
    """

    def __post_init__(self) -> None:
        for fact in describe(type(self)):
            value = getattr(self, fact.name)
            object.__setattr__(self, fact.name, _checked(fact, value))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Any:
        """Build from what a person sent; unknown names are refused."""
        known = [fact.name for fact in describe(cls)]
        for name in values:
            if name not in known:
                raise OptionsError(name, f"There is no option `{name}` here.", f"Known options: {', '.join(known)}.")
        return cls(**values)


def _checked(fact: OptionFact, value: Any) -> Any:
    if value is None:
        if fact.optional:
            return None
        raise OptionsError(fact.name, f"`{fact.name}` is missing.", f"Leave it out for the default, {fact.default}.")
    match fact.type:
        case "boolean":
            return _boolean(fact, value)
        case "integer" | "number":
            return _number(fact, value)
        case "choices":
            return _set(fact, value)
        case _:
            return _text(fact, value)


def _boolean(fact: OptionFact, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise OptionsError(fact.name, f"`{fact.name}` is {value!r}, not true or false.", "Send true or false.")


def _number(fact: OptionFact, value: Any) -> float | int:
    integer = fact.type == "integer"
    wanted = "a whole number" if integer else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise OptionsError(fact.name, f"`{fact.name}` is {value!r}, not {wanted}.", _range_hint(fact))
    if integer and value != int(value):
        raise OptionsError(fact.name, f"`{fact.name}` is {value}, not {wanted}.", _range_hint(fact))
    below = fact.minimum is not None and value < fact.minimum
    above = fact.maximum is not None and value > fact.maximum
    if below or above:
        raise OptionsError(fact.name, f"`{fact.name}` is {value:,}, outside its range.", _range_hint(fact))
    return int(value) if integer else float(value)


def _range_hint(fact: OptionFact) -> str:
    low = "" if fact.minimum is None else f"{fact.minimum:,} or more"
    high = "" if fact.maximum is None else f"{fact.maximum:,} or less"
    bounds = " and ".join(part for part in (low, high) if part)
    return f"Use {bounds}." if bounds else "Send a number."


def _set(fact: OptionFact, value: Any) -> tuple[str, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    known = ", ".join(fact.choices or ())
    for each in values:
        if each not in (fact.choices or ()):
            raise OptionsError(fact.name, f"`{fact.name}` has {each!r}, which is not a choice.", f"Choose of: {known}.")
    if not values:
        raise OptionsError(fact.name, f"`{fact.name}` is empty.", f"Choose at least one of: {known}.")
    return tuple(choice for choice in fact.choices or () if choice in values)


def _text(fact: OptionFact, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionsError(fact.name, f"`{fact.name}` is {value!r}, not text.", "Send text.")
    if fact.choices and value not in fact.choices:
        known = ", ".join(fact.choices)
        raise OptionsError(fact.name, f"`{fact.name}` is {value!r}, which is not a choice.", f"Choose one of: {known}.")
    return value
