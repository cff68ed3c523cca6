"""The layers of a training's sandbox, in words: what each protects, and what is open where a worker lacks it.

`WorkerReport.isolation` says which a worker has, by these names; the pages take the words from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One wall around a training."""

    name: str
    title: str
    protects: str
    missing: str
    """What is open without it."""


LAYERS = (
    Layer(
        "death_signal",
        "Ends with its worker",
        "The kernel kills the training at once when its worker is gone.",
        "A training whose worker was killed goes on until it notices by itself, after a lease at most.",
    ),
    Layer(
        "process_namespace",
        "A process tree of its own",
        "All that a training started ends with it, and it can reach no other process.",
        "Processes that a training leaves behind are looked for by their mark and killed one by one.",
    ),
    Layer(
        "own_proc",
        "Sees its own processes only",
        "A training sees no other process of the machine, nor what was given to it.",
        "A training sees which other processes run on the machine.",
    ),
    Layer(
        "no_network",
        "No network",
        "A training reaches nothing but its own processes: no site, no broker, no internet.",
        "A training can use the machine's network.",
    ),
    Layer(
        "no_capabilities",
        "No privileges",
        "A training holds none of the special rights of an administrator and can gain none.",
        "Inside its namespaces a training may act as an administrator, which kernel bugs can turn into more.",
    ),
    Layer(
        "own_view",
        "A file system of its own",
        "Files, sockets and other jobs that a training does not need do not exist for it.",
        "A training sees the names of the machine's files and can connect to sockets that lie among them.",
    ),
    Layer(
        "separate_user",
        "A user of its own",
        "Each slot's trainings run as a user that owns nothing else on the machine.",
        "A training runs as the worker's own user, so only the other layers keep it from what that user owns.",
    ),
    Layer(
        "file_rules",
        "File rules of the kernel (Landlock)",
        "The kernel refuses every file but the inputs, which are read-only, and the attempt's own folder.",
        "A training may read and change what its user may: inputs in the cache, and other jobs of this worker.",
    ),
    Layer(
        "signal_rules",
        "Signals and sockets kept inside (Landlock 6)",
        "The kernel lets a training signal, and meet by named sockets, none but its own processes.",
        "Without a process tree of its own, a training can signal other processes of its user.",
    ),
    Layer(
        "size_limits",
        "Limits of files and descriptors",
        "No file grows beyond the limit, no process opens too many, none leaves a core dump.",
        "One file of a training can fill the worker's disk.",
    ),
    Layer(
        "process_limit",
        "Limit of processes",
        "A training that starts processes without end is stopped at the limit.",
        "A training that starts processes without end can bring the machine to a stop.",
    ),
    Layer(
        "memory_limit",
        "Limit of memory",
        "A training that takes more memory than its limit ends alone.",
        "A training that takes all memory makes the kernel choose what to end, which may be the worker.",
    ),
)


def missing_layers(isolation: Mapping[str, bool]) -> tuple[Layer, ...]:
    """The layers that a worker does not have, in order; with any of them its isolation is called reduced."""
    return tuple(layer for layer in LAYERS if not isolation.get(layer.name, False))
