"""The Fastfood projection against its formula written out, its gradient, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tests.methods.shapes import minilm
from tests.training import toys
from tests.training.conftest import MakeJob, Trainer
from workers.methods import find_method
from workers.methods.options import OptionsError
from workers.training.loaders.fastfood import Stream, hadamard, load, project, project_back, stream, transform
from workers.training.methods.intrinsic_dimension import Projection


def in_doubles(by: Stream) -> Stream:
    return Stream(by.signs, by.order, by.normal.double(), by.scale)


@pytest.mark.parametrize("bits", [0, 1, 3, 6, 7, 11])
def test_the_transform_is_the_dense_walsh_hadamard_matrix(bits: int) -> None:
    vector = torch.randn(2**bits, dtype=torch.float64)
    dense = torch.tensor(
        [[(-1.0) ** (row & column).bit_count() for column in range(2**bits)] for row in range(2**bits)],
        dtype=torch.float64,
    )
    assert torch.equal(hadamard(bits, vector), dense)
    torch.testing.assert_close(transform(vector), dense @ vector, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("elements", "dimension"), [(100, 7), (7, 100), (64, 64), (1, 3)])
def test_the_projection_is_its_formula_written_out(elements: int, dimension: int) -> None:
    by = in_doubles(stream(5, "some.weight", elements, dimension))
    size = len(by.signs)
    assert size >= max(elements, dimension) > size // 2
    eye = torch.eye(size, dtype=torch.float64)
    dense = hadamard(size.bit_length() - 1, by.normal)
    permutation = eye[by.order.long()]
    whole = dense @ torch.diag(by.normal) @ permutation @ dense @ torch.diag(by.signs.double())
    matrix = whole[:elements, :dimension] / math.sqrt(elements * float(by.normal.square().sum()))
    theta = torch.randn(dimension, dtype=torch.float64)
    gradient = torch.randn(elements, dtype=torch.float64)
    torch.testing.assert_close(project(theta, by, elements), matrix @ theta, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(project_back(gradient, by, dimension), matrix.T @ gradient, rtol=1e-9, atol=1e-9)


def test_its_gradient_is_that_of_finite_differences() -> None:
    by = in_doubles(stream(5, "some.weight", 50, 12))
    theta = torch.randn(12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: Projection.apply(given, by, 50), (theta,))  # type: ignore[no-untyped-call]


def test_a_delta_is_about_as_long_as_theta() -> None:
    theta = torch.randn(1000)
    ratios = [float(project(theta, stream(seed, "w", 50_000, 1000), 50_000).norm() / theta.norm()) for seed in range(5)]
    assert all(0.9 < ratio < 1.1 for ratio in ratios), ratios


def test_another_seed_or_tensor_is_another_projection() -> None:
    checksums = {stream(seed, name, 100, 10).checksum for seed in (1, 2) for name in ("a", "b")}
    assert len(checksums) == 4
    assert stream(1, "a", 100, 10).checksum == stream(1, "a", 100, 10).checksum


def test_did_and_said_train_equally_many_numbers(classify: MakeJob, train: Trainer) -> None:
    for aware in (True, False):
        job = classify(
            f"job-{aware}",
            method="intrinsic_dimension",
            options={"dimension": 40, "structure_aware": aware},
            max_steps=1,
        )
        head = toys.WIDTH * 2 + 2
        assert train(job).of("plan")[0]["trainable_parameters"] == 40 + head


def test_the_loader_refuses_random_numbers_that_are_not_those_of_the_training(
    classify: MakeJob, train: Trainer, encoder: Path
) -> None:
    job = classify(method="intrinsic_dimension", options={"dimension": 40}, max_steps=1)
    assert train(job).error is None
    settings = json.loads((job.artifact / "delta.json").read_text())
    settings["seed"] += 1
    (job.artifact / "delta.json").write_text(json.dumps(settings))
    network = toys.network(encoder, "text-classification", ("no", "yes"))
    with pytest.raises(ValueError, match="draws other random numbers"):
        load(network, str(job.artifact))


@pytest.mark.parametrize(
    ("options", "words"), [({"dimension": 7}, "factors of the blocks"), ({"dimension": 10**9}, "more than the")]
)
def test_a_dimension_without_room_is_refused(options: dict[str, int], words: str) -> None:
    method = find_method("intrinsic_dimension")
    with pytest.raises(OptionsError, match=words) as refused:
        method.check(minilm(), method.options.from_json(options))
    assert refused.value.field == "dimension"
