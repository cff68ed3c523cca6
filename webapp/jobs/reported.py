"""The shapes of what workers may report: events, files, their own state. Claims, not facts: checked before use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Count = Annotated[int, Field(strict=True, ge=0, lt=2**62)]
Step = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Number = Finite | Literal["NaN", "Infinity", "-Infinity"]
"""NaN and infinities travel as words."""
Name = Annotated[str, Field(min_length=1, max_length=60)]
Short = Annotated[str, Field(max_length=255)]


class BadReport(Exception):
    """The worker sent something that does not fit the protocol (422)."""


class ArrivedDamaged(BadReport):
    """A file is not the announced one: sent again, it may come whole (422)."""


class TooMuch(Exception):
    """The report is larger than one call takes (413)."""


class Said(BaseModel):
    """What all events have; fields that only newer workers know are kept.

    Not Ninja's Schema: it wraps every value for reading from objects, which costs ten times the check itself.
    """

    model_config = ConfigDict(extra="allow")
    time: Finite = 0.0

    @property
    def own_step(self) -> int:
        """The step, where events of this kind have one; a field that merely has this name is not one."""
        return int(getattr(self, "step", None) or 0) if "step" in type(self).model_fields else 0


class Metrics(Said):
    kind: Literal["metrics"]
    step: Step
    epoch: Finite | None = None
    values: Annotated[dict[Name, Number], Field(min_length=1, max_length=200)]


class Phase(Said):
    kind: Literal["phase"]
    phase: Name
    step: Step | None = None


class Plan(Said):
    kind: Literal["plan"]
    total_steps: Step
    resumed_step: Step = 0
    trainable_parameters: Count | None = None
    total_parameters: Count | None = None
    device: Short = ""
    memory_kind: Short = ""
    device_memory_total_bytes: Count | None = None


class Best(BaseModel):
    name: Name
    value: Finite
    step: Step


Seconds = Annotated[float, Field(strict=True, ge=1e-9, le=1e6)]
"""Of one pass: what no clock tells, and what no job waits for, would be infinitely many times another."""


class ForwardPass(BaseModel):
    """How long one pass of so many rows and tokens took on the device that trained."""

    base_seconds: Seconds
    delta_seconds: Seconds
    merged_seconds: Seconds | None = None
    rows: Count
    tokens: Count


class Result(Said):
    kind: Literal["result"]
    final_metrics: dict[Name, Number] = Field(default_factory=dict)
    best_metric: Best | None = None
    notes: list[Annotated[str, Field(max_length=2000)]] = Field(default_factory=list, max_length=50)
    forward_pass: ForwardPass | None = None


class Checkpointed(Said):
    kind: Literal["checkpoint"]
    step: Step
    best: bool = False


class Line(Said):
    kind: Literal["log"]
    level: Name = "info"
    text: str = ""


class Other(Said):
    kind: Literal["artifact", "failed", "noise"]


EVENTS: TypeAdapter[Any] = TypeAdapter(
    list[
        Annotated[
            Metrics | Phase | Plan | Result | Checkpointed | Line | Other,
            Field(discriminator="kind"),
        ]
    ]
)


SITES_OWN = ("n", "attempt", "left")
"""What the site itself says of an event: its number, whose it is, and how long the job still takes."""


def check_events(events: list[dict[str, Any]]) -> list[Said]:
    """The events in their shapes; what only the site may say is taken out of them.

    Raises BadReport naming the field of the first event that does not fit.
    """
    for event in events:
        for name in SITES_OWN:
            event.pop(name, None)
    try:
        checked: list[Said] = EVENTS.validate_python(events)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise BadReport(f"An event does not fit, at {place or 'kind'}: {first['msg']}.") from error
    return checked


class Parity(Schema):
    """How far a merged model's answers are from those of base model and delta."""

    dtype: Name
    max_logit_difference: Finite
    same_choice_share: Annotated[float, Field(strict=True, ge=0, le=1)]


def check_parity(manifest: dict[str, Any]) -> None:
    """Raises BadReport where a merged model does not say how alike it answers."""
    try:
        Parity.model_validate(manifest.get("parity"))
    except ValidationError as error:
        raise BadReport("The manifest of a merged model does not say how alike it answers.") from error


class File(Schema):
    name: Short
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Device(Schema):
    index: Count = 0
    kind: Name
    name: Short
    memory_bytes: Annotated[int, Field(strict=True, ge=1, lt=2**62)]
    memory_free_bytes: Count
    utilisation_percent: Finite | None = None
    power_watts: Finite | None = None
    temperature_celsius: Finite | None = None


class Report(Schema):
    """A worker's hello."""

    boot_id: Annotated[str, Field(min_length=1, max_length=40)]
    hostname: Short = ""
    place: Short = ""
    version: Short = ""
    slots: Annotated[int, Field(ge=0, le=1024)] = 1
    busy_slots: Annotated[int, Field(ge=0, le=1024)] = 0
    threads_per_slot: Annotated[int, Field(ge=0, le=4096)] = 1
    cores: Annotated[int, Field(ge=0, le=4096)] = 1
    protocol: Count = 1
    devices: Annotated[list[Device], Field(max_length=256)] = Field(default_factory=list)
    labels: Annotated[list[Short], Field(max_length=64)] = Field(default_factory=list)
    isolation: Annotated[dict[Name, bool], Field(max_length=64)] = Field(default_factory=dict)
    versions: Annotated[dict[Name, Short], Field(max_length=64)] = Field(default_factory=dict)
    lacks: Annotated[list[Name], Field(max_length=64)] = Field(default_factory=list)
    draining: bool = False
    deaf: bool = False
