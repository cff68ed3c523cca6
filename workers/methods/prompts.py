"""What the methods with virtual tokens share: why they cannot be merged, and where they cannot work."""

from __future__ import annotations

from workers.methods.hyperparameters import SHORTEST
from workers.methods.options import OptionsError
from workers.methods.shape import Shape
from workers.protocol import Task

LENGTH_HELP = "Virtual tokens in front of every text; they take so many places of the base model's context."
NOT_MERGEABLE = (
    "The delta is no change of weights but something that the network reads besides the text, so there is nothing to "
    "merge it into."
)
CARD_GENERATES = "To generate text with a decoder, load it with the lines of the artifact's card."
"""PEFT and transformers call the cache by different names; the card brings them together."""


def check_length(shape: Shape, length: int) -> None:
    """Refuses a prompt that leaves no room for a text; whether the longest row fits is checked with the training."""
    if not shape.positions or shape.positions - length >= SHORTEST:
        return
    longest = shape.positions - SHORTEST
    raise OptionsError(
        "length",
        f"`length` is {length:,}, and of the {shape.positions:,} places that this base model reads, a text needs "
        f"{SHORTEST} or more.",
        f"Use {longest:,} or less." if longest > 0 else "Choose a method that takes no places.",
    )


def last_token_classifiers(shape: Shape, task: Task) -> str:
    """Why soft prompts do not classify on decoders; '' elsewhere."""
    if task == "text-classification" and shape.is_decoder:
        return (
            "A decoder classifies by the last token of a text, and behind a soft prompt it can no longer tell the "
            "last token from padding."
        )
    return ""
