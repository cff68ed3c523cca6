"""Loads artifacts by their cards' own code in a process that never saw their training: a line in, a line out.

Run as a script with no path to this project: `{"code": …, "inputs": file, "logits": file}` is answered by "ok" or an
error. One process for many artifacts, because importing torch takes seconds.
"""

import json
import os
import sys
import traceback

import torch
from safetensors.torch import load_file, save_file

OWN_NAME_OF_LOADER = "load_delta"


def main() -> None:
    torch.set_num_threads(1)
    # What the cards print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer(json.loads(line))
            answers.write('"ok"\n')
        except Exception:
            answers.write(json.dumps(traceback.format_exc()) + "\n")
        answers.flush()


def answer(question: dict[str, str]) -> None:
    assert not any(name.startswith(("workers", "tests", "webapp")) for name in sys.modules)
    # Each artifact brings its own file of this name.
    sys.modules.pop(OWN_NAME_OF_LOADER, None)
    namespace: dict[str, object] = {}
    exec(compile(question["code"], "card.py", "exec"), namespace)
    model = namespace["model"]
    with torch.no_grad():
        logits = model(**load_file(question["inputs"])).logits  # type: ignore[operator]
    save_file({"logits": logits.contiguous()}, question["logits"])


if __name__ == "__main__":
    main()
