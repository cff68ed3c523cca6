"""Every delta method on every architecture and task: counts, frozen bits, round trip, merge, resume, size.

A method joins by being in the registry; where it cannot work, it must say why before anything is queued.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig

from tests.training import toys
from tests.training.architectures import ARCHITECTURES
from tests.training.methods.cells import STEPS, Cell, Trained, all_cells, base_of, job_of, resumed
from tests.training.methods.conftest import TrainCell
from tests.training.methods.loading import LoadByCard
from workers.methods import METHODS
from workers.methods.options import OptionsError
from workers.protocol import JobSpec
from workers.training.base_model import load_tokenizer
from workers.training.methods import EQUIPMENT
from workers.training.methods.equipping import CannotMerge, Setting, sizes
from workers.training.shape import empty_model

pytestmark = pytest.mark.slow

HEADER_LENGTH_BYTES = 8


@pytest.fixture(scope="class")
def cell(request: pytest.FixtureRequest, train_cell: TrainCell, base_models: dict[str, Path]) -> Trained:
    asked: Cell = request.param
    if why := METHODS[asked.method].refusal(toys.shape_of(base_models[asked.base]), asked.task):
        pytest.skip(why)
    return train_cell(asked)


every_cell = pytest.mark.parametrize("cell", all_cells(), indirect=True, ids=str, scope="class")


@every_cell
class TestCell:
    """In this order for each cell, so that it is trained once."""

    def test_formula_and_training_count_alike(self, cell: Trained) -> None:
        given = cell.shape, cell.chosen, cell.cell.task, cell.labels
        assert cell.plan["trainable_parameters"] == cell.method.trainable_parameters(*given)
        assert cell.plan["total_parameters"] == cell.method.total_parameters(*given)

    def test_what_is_frozen_keeps_every_bit_and_what_trains_moves(self, cell: Trained) -> None:
        for name, each in cell.model.named_parameters():
            if ".lora_E." not in name:  # AdaLoRA may prune a layer back to the zeros that it started with
                assert torch.equal(each, cell.attempt.before[name]) != each.requires_grad, name
        for name, buffer in cell.model.named_buffers():
            assert torch.equal(buffer, cell.attempt.buffers[name]), name

    def test_the_base_model_is_still_there_bit_for_bit(self, cell: Trained) -> None:
        assert_base_is_there(cell)

    def test_the_card_loads_it_in_a_fresh_process_with_the_same_logits(
        self, cell: Trained, load_by_card: LoadByCard, tmp_path: Path
    ) -> None:
        loaded = load_by_card(cell, tmp_path)
        here = cell.logits()
        if "pissa" in cell.cell.options or cell.cell.method == "adalora":
            # The same delta, added up in another order: PiSSA is handed in as a sum of two plain LoRAs on the
            # untouched base, AdaLoRA without the triplets that it pruned.
            torch.testing.assert_close(loaded, here, rtol=1e-4, atol=1e-4)
        else:
            assert torch.equal(loaded, here)

    def test_merged_it_answers_alike_or_says_why_it_cannot(self, cell: Trained) -> None:
        refusal = cell.method.merge_refusal(cell.shape, cell.chosen)
        if refusal:
            with pytest.raises(CannotMerge, match=r"\.$"):
                EQUIPMENT[cell.cell.method].merge(cell.model)
            assert refusal.endswith(".")
        else:
            # Trained beside a base in 4 bits, it is merged into the whole one, which answers a little differently.
            unmerged = cell.on_whole_base() if cell.method.library else cell.model
            torch.testing.assert_close(cell.logits(cell.merged()), cell.logits(unmerged), rtol=1e-3, atol=1e-3)

    def test_the_artifact_holds_what_was_trained_and_nothing_else(self, cell: Trained) -> None:
        given = cell.shape, cell.chosen, cell.cell.task, cell.labels
        files = sorted(cell.job.artifact.glob("*.safetensors"))
        stored = sum(path.stat().st_size - header_bytes(path) for path in files)
        if cell.method.family == "full":
            # A whole model; only its own tied weights may be left out.
            assert stored == 4 * cell.plan["total_parameters"]
        elif cell.method.exported_at_most:
            assert stored <= cell.method.artifact_bytes(*given)
        else:
            assert stored == cell.method.artifact_bytes(*given)

    def test_stopped_and_resumed_it_ends_bit_for_bit_the_same(
        self, cell: Trained, tmp_path: Path, base_models: dict[str, Path]
    ) -> None:
        again = resumed(tmp_path, base_models[cell.cell.base], cell.cell)
        assert again.run.result["final_metrics"] == cell.run.result["final_metrics"]
        for path in cell.job.artifact.glob("*.safetensors"):
            assert path.read_bytes() == (again.job.artifact / path.name).read_bytes()


def header_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return HEADER_LENGTH_BYTES + int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")


def assert_base_is_there(cell: Trained) -> None:
    """Every tensor of the base model's file stands unchanged somewhere in the equipped network, unless it trained."""
    if "pissa" in cell.cell.options or cell.method.library:
        return  # PiSSA moves a part of each weight into its delta, QLoRA keeps it in 4 bits; the file is untouched.
    here = {
        data_of(each): name
        for name, each in cell.attempt.before.items()
        if not name.endswith(".original_module.weight")
    }
    with safe_open(cell.job.base_model / "model.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            assert data_of(file.get_tensor(name)) in here, name


def data_of(tensor: torch.Tensor) -> tuple[torch.Size, bytes]:
    return tensor.shape, tensor.detach().contiguous().numpy().tobytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_cannot_work_says_so_before_anything_is_queued(
    method: str, architecture: str, base_models: dict[str, Path], tmp_path: Path
) -> None:
    base_model = base_models[base_of(method, architecture)]
    shape = toys.shape_of(base_model)
    for number, cell in enumerate(all_cells()):
        why = METHODS[method].refusal(shape, cell.task)
        if (cell.method, cell.architecture) == (method, architecture) and why:
            assert why.endswith(".")
            with pytest.raises(OptionsError) as refused:
                job_of(tmp_path / str(number), base_model, cell)
            assert refused.value.field == "method"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", METHODS)
def test_an_equipped_network_without_weights_counts_alike(
    method: str, architecture: str, base_models: dict[str, Path], tmp_path: Path
) -> None:
    """On the meta device: this is what the estimate rests upon, for base models of any size."""
    base_model = base_models[base_of(method, architecture)]
    shape = toys.shape_of(base_model)
    for number, cell in enumerate(all_cells()):
        offered = not METHODS[method].refusal(shape, cell.task)
        if (cell.method, cell.architecture) == (method, architecture) and offered:
            job = job_of(tmp_path / str(number), base_model, cell)
            assert_meta_counts(JobSpec.from_json(json.loads(job.spec.read_text())), base_model)


def assert_meta_counts(spec: JobSpec, folder: Path) -> None:
    shape, method, labels = toys.shape_of(folder), METHODS[spec.method], len(spec.dataset.labels)
    network = empty_model(AutoConfig.from_pretrained(folder), spec.task, labels)
    before = dict(network.named_parameters())
    chosen = method.options.from_json(spec.options)
    setting = Setting(spec.task, load_tokenizer(folder), spec.dataset.labels, STEPS, seed=17)
    counted = sizes(before, EQUIPMENT[spec.method].equip(network, chosen, setting))
    assert counted.trainable == method.trainable_parameters(shape, chosen, spec.task, labels)
    assert counted.total == method.total_parameters(shape, chosen, spec.task, labels)
