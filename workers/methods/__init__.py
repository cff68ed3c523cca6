"""The registry of delta methods: their plain halves by name.

Options, facts and parameter counts only; what needs torch lies in `workers.training.methods`.
"""

from __future__ import annotations

from workers.methods import (
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
from workers.methods.method import Method
from workers.methods.options import OptionsError

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (
        lora,
        full,
        dora,
        qlora,
        adalora,
        vera,
        oft,
        loha,
        lokr,
        ia3,
        houlsby,
        pfeiffer,
        prompt_tuning,
        p_tuning,
        prefix_tuning,
        bitfit,
        last_k,
        layer_norm,
        head,
        intrinsic_dimension,
    )
}
"""Every method that is offered, in the order in which pages list them."""


def find_method(name: str) -> Method:
    """The method of this name; OptionsError names the known ones."""
    if name in METHODS:
        return METHODS[name]
    known = ", ".join(METHODS)
    raise OptionsError("method", f"There is no method `{name}` here.", f"Choose one of: {known}.")
