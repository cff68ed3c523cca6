"""Reads the stored tensors and the nodes of an ONNX file: the few fields of the protocol-buffer format that are needed.

Nothing is run and nothing is trusted: a field that is cut short or of an unknown kind ends in InspectionProblem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from workers.training.base_model_folder import InspectionProblem

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
GRAPH, NODE, INITIALIZER = 7, 1, 5
"""Field numbers: of the graph in a model, of nodes and stored tensors in a graph."""
DTYPES = {1: torch.float32, 2: torch.uint8, 3: torch.int8}


@dataclass(frozen=True)
class Node:
    """One operation."""

    name: str
    kind: str
    inputs: tuple[str, ...]


@dataclass
class OnnxFile:
    """What one file holds."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)


def read_onnx(data: bytes) -> OnnxFile:
    """Tensors of the kinds in DTYPES, all nodes. Raises InspectionProblem for what is no such file."""
    found = OnnxFile()
    try:
        graph = next(value for number, value in _fields(memoryview(data)) if number == GRAPH)
        assert isinstance(graph, memoryview)
        for number, value in _fields(graph):
            if number == INITIALIZER and isinstance(value, memoryview):
                _add_tensor(found.tensors, value)
            elif number == NODE and isinstance(value, memoryview):
                found.nodes.append(_node(value))
    except (IndexError, StopIteration, ValueError, RuntimeError) as error:
        raise InspectionProblem(
            "starter.conversion", f"The ONNX file of the package cannot be read: {error}", "Fetch the package again."
        ) from error
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, place = _varint(data, place)
        elif kind in FIXED:
            length = FIXED[kind]
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if place + length > len(data):
            raise ValueError("a field ends outside the file")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _numbers(value: int | memoryview) -> list[int]:
    """A repeated whole number, packed or not."""
    if isinstance(value, int):
        return [value]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(number)
    return numbers


def _add_tensor(tensors: dict[str, torch.Tensor], data: memoryview) -> None:
    """TensorProto: 1 dims, 2 data_type, 4 float_data, 5 int32_data, 8 name, 9 raw_data."""
    name, kind, dims = "", 0, []
    raw: torch.Tensor | None = None
    for number, value in _fields(data):
        if number == 1:
            dims += _numbers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number in (4, 9) and isinstance(value, memoryview) and kind in DTYPES and len(value):
            raw = torch.frombuffer(bytearray(value), dtype=torch.float32 if number == 4 else DTYPES[kind])
        elif number == 5 and kind in DTYPES:
            # Negative numbers come as 64 bits.
            signed = [each - (1 << 64) if each >> 63 else each for each in _numbers(value)]
            raw = torch.tensor(signed).to(DTYPES[kind])
    if raw is not None and name:
        tensors[name] = raw.reshape(dims)


def _node(data: memoryview) -> Node:
    """NodeProto: 1 input, 3 name, 4 op_type."""
    inputs, name, kind = [], "", ""
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            inputs.append(bytes(value).decode())
        elif number == 3:
            name = bytes(value).decode()
        elif number == 4:
            kind = bytes(value).decode()
    return Node(name, kind, tuple(inputs))
