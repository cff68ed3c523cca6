"""The reader of ONNX files: what it needs of the format, and that a broken file ends in a sentence."""

from __future__ import annotations

import struct

import pytest
import torch

from workers.training.base_model_folder import InspectionProblem
from workers.training.starter.onnx_file import read_onnx
from workers.training.starter.onnx_t5 import weights


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def part(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, kind: int, dims: list[int], **data: bytes) -> bytes:
    fields = b"".join(part(1, dim) for dim in dims) + part(2, kind) + part(8, name.encode())
    numbers = {"floats": 4, "integers": 5, "raw": 9}
    return part(5, fields + b"".join(part(numbers[kind], value) for kind, value in data.items()))


def node(name: str, kind: str, *inputs: str) -> bytes:
    return part(
        1, b"".join(part(1, each.encode()) for each in inputs) + part(3, name.encode()) + part(4, kind.encode())
    )


MODEL = part(
    7,
    tensor("m.shared.weight_quantized", 2, [2, 2], raw=bytes([130, 128, 127, 0]))
    + tensor("m.shared.weight_scale", 1, [], floats=struct.pack("<f", 0.5))
    + tensor("m.shared.weight_zero_point", 2, [], integers=varint(128))
    + tensor("onnx::MatMul_1_quantized", 3, [1, 2], raw=struct.pack("bb", -3, 4))
    + tensor("onnx::MatMul_1_scale", 1, [], floats=struct.pack("<f", 2.0))
    + tensor("onnx::MatMul_1_zero_point", 3, [], integers=varint((1 << 64) - 1))
    + tensor("enc.block.0.layer_norm.weight", 1, [2], raw=struct.pack("<ff", 1.0, 2.0))
    + node("/m/decoder/q/MatMul_quant", "MatMulInteger", "x", "onnx::MatMul_1_quantized", "a", "b"),
)


def test_quantised_weights_get_their_values_and_names_back() -> None:
    found = weights(read_onnx(MODEL))
    assert set(found) == {"shared.weight", "decoder.q.weight", "encoder.block.0.layer_norm.weight"}
    assert found["shared.weight"].tolist() == [[1.0, 0.0], [-0.5, -64.0]]
    assert found["decoder.q.weight"].tolist() == [[-4.0], [10.0]]
    assert torch.equal(found["encoder.block.0.layer_norm.weight"], torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("data", [b"", b"\xff", b"PK\x03\x04 no such file", MODEL[:40], part(7, b"\x2a\xff")])
def test_a_broken_file_ends_in_a_sentence(data: bytes) -> None:
    with pytest.raises(InspectionProblem, match="cannot be read"):
        read_onnx(data)
