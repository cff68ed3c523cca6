"""The torch halves of the delta methods, found by the names that `workers.methods` gives them."""

from __future__ import annotations

from workers.training.methods import full, lora
from workers.training.methods.equipping import Equipment

EQUIPMENT: dict[str, Equipment] = {"lora": lora.EQUIPMENT, "full": full.EQUIPMENT}
"""One for every method in `workers.methods.METHODS`; a test holds the two against each other."""
