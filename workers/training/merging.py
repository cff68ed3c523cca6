"""Merges a delta into its base model: a whole model for plain transformers, and the proof that it answers alike.

The arithmetic is done in fp32; what is stored has the number format of the base model. How far the stored model's
answers are from those of base model and delta is measured and written into its card and manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from workers.protocol import JobSpec
from workers.training import card, probing
from workers.training.base_model import LOCAL, load_network, load_tokenizer
from workers.training.base_model_folder import InspectionProblem
from workers.training.completing import complete, partial, verified
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import AUTO_CLASSES, CannotMerge

TOLERANCE = 1e-3
"""Of the largest logit: what adding up in another order may change in fp32."""


def merge(base_model: Path, delta: Path, final: Path) -> dict[str, Any]:
    """Write the merged model as the folder `final`, complete or absent; its manifest. Raises InspectionProblem."""
    artifact = verified(delta)
    if artifact is None:
        raise InspectionProblem("merge.artifact", "The delta artifact did not arrive whole.", "Ask once more.")
    spec = JobSpec.from_json(artifact["spec"])
    tokenizer = load_tokenizer(base_model)
    network = _network(base_model, spec, tokenizer)
    probes = probing.probes(network, spec)
    try:
        merged, wanted = _merged(network, spec, delta, probes)
    except CannotMerge as error:
        raise InspectionProblem("merge.cannot", str(error), "Use the delta as its card says.") from error
    _require_alike(_logits(merged, probes), wanted)
    into = partial(final)
    dtype = AutoConfig.from_pretrained(base_model, **LOCAL).dtype or torch.float32
    merged.to(dtype).save_pretrained(into)
    tokenizer.save_pretrained(into)
    parity = {"dtype": str(dtype).removeprefix("torch."), **_parity(into, spec, probes, wanted)}
    text = (delta / card.FILE).read_text(encoding="utf-8")
    (into / card.FILE).write_text(card.of_merged(text, spec, parity), encoding="utf-8")
    facts = {name: value for name, value in artifact.items() if name != "files"}
    return complete(into, final, facts | {"parity": parity})


def _network(folder: Path, spec: JobSpec, tokenizer: Any) -> Any:
    seed = spec.training["seed"]
    return load_network(folder, spec.task, spec.dataset.labels, tokenizer, torch.float32, seed).eval()


def _merged(network: Any, spec: JobSpec, delta: Path, probes: dict[str, torch.Tensor]) -> tuple[Any, torch.Tensor]:
    """The plain network with the delta in its weights, and what base model and delta answered beside each other."""
    equipment = EQUIPMENT[spec.method]
    if equipment.load is None:
        raise CannotMerge(f"Deltas of the method {spec.method} are no change of weights.")
    model = equipment.load(network, delta)
    wanted = _logits(model, probes)
    return equipment.merge(model), wanted


@torch.no_grad()
def _logits(model: Any, probes: dict[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = model.eval()(**probes).logits
    return logits.float()


def _require_alike(found: torch.Tensor, wanted: torch.Tensor) -> None:
    difference = float((found - wanted).abs().max())
    allowed = TOLERANCE * max(1.0, float(wanted.abs().max()))
    if not difference <= allowed:
        raise InspectionProblem(
            "merge.not_alike",
            f"Merged, the model answers otherwise: a logit is off by {difference:.2g}, and {allowed:.2g} is allowed.",
            "Use the delta as its card says, and report this.",
        )


def _parity(folder: Path, spec: JobSpec, probes: dict[str, torch.Tensor], wanted: torch.Tensor) -> dict[str, float]:
    """Of the stored files, read anew, against base model and delta."""
    kind = getattr(transformers, AUTO_CLASSES[spec.task])
    found = _logits(kind.from_pretrained(folder, use_safetensors=True, **LOCAL), probes)
    if not found.isfinite().all():
        raise InspectionProblem(
            "merge.not_alike",
            "Merged and stored in the base model's number format, the model's answers are no numbers any more.",
            "Use the delta as its card says.",
        )
    return {
        "max_logit_difference": float((found - wanted).abs().max()),
        "same_choice_share": float((found.argmax(-1) == wanted.argmax(-1)).float().mean()),
    }
