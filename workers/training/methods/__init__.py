"""The torch halves of the delta methods, found by the names that `workers.methods` gives them."""

from __future__ import annotations

from workers.training.methods import (
    adalora,
    bitfit,
    dora,
    full,
    head,
    houlsby,
    ia3,
    intrinsic_dimension,
    last_k,
    layer_norm,
    loha,
    lokr,
    lora,
    oft,
    p_tuning,
    pfeiffer,
    prefix_tuning,
    prompt_tuning,
    qlora,
    vera,
)
from workers.training.methods.equipping import Equipment

EQUIPMENT: dict[str, Equipment] = {
    "lora": lora.EQUIPMENT,
    "full": full.EQUIPMENT,
    "dora": dora.EQUIPMENT,
    "qlora": qlora.EQUIPMENT,
    "adalora": adalora.EQUIPMENT,
    "vera": vera.EQUIPMENT,
    "oft": oft.EQUIPMENT,
    "loha": loha.EQUIPMENT,
    "lokr": lokr.EQUIPMENT,
    "ia3": ia3.EQUIPMENT,
    "houlsby": houlsby.EQUIPMENT,
    "pfeiffer": pfeiffer.EQUIPMENT,
    "prompt_tuning": prompt_tuning.EQUIPMENT,
    "p_tuning": p_tuning.EQUIPMENT,
    "prefix_tuning": prefix_tuning.EQUIPMENT,
    "bitfit": bitfit.EQUIPMENT,
    "last_k": last_k.EQUIPMENT,
    "layer_norm": layer_norm.EQUIPMENT,
    "head": head.EQUIPMENT,
    "intrinsic_dimension": intrinsic_dimension.EQUIPMENT,
}
"""One for every method in `workers.methods.METHODS`; a test holds the two against each other."""
