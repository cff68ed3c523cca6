"""Reads a Shape off a model on the meta device: no weights are read and none are allocated.

Where the configuration comes from and whether it may be trusted is decided by the caller.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accelerate import init_empty_weights
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PretrainedConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.pytorch_utils import Conv1D

from workers.methods.shape import Linear, Norm, Shape
from workers.protocol import Task
from workers.training.families import block_of, in_decoder, role_of

MODEL_OF_TASK: dict[Task, Any] = {
    "text-classification": AutoModelForSequenceClassification,
    "causal-lm": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
ENCODERS = frozenset(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
SHIFTED_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Their position table starts behind the padding id: 514 rows hold 512 positions."""
HEAD_LABELS = 3
"""So many labels tell the kinds of classification heads apart."""


class ShapeError(Exception):
    """The architecture is none that can be fine-tuned here; the message is a sentence for people."""


def read_shape(config: PretrainedConfig, stored: frozenset[str] = frozenset()) -> tuple[Shape, tuple[Task, ...]]:
    """The shape of the network that this configuration describes and the tasks it can be trained for.

    `stored` are the names of the stored tensors: an encoder-decoder that stores an output layer beside its embeddings
    has one of its own, whatever its configuration says of ties (flan-t5).

    Raises ShapeError for architectures without any of our tasks.
    """
    tasks = tasks_of(config)
    if not tasks:
        raise ShapeError(f"The architecture `{config.model_type}` is no text model that Deltaboard can fine-tune.")
    model = _built(config, tasks[0])
    head = _classification_head(config, model) if "text-classification" in tasks else "linear"
    if head is None:
        tasks, head = tuple(task for task in tasks if task != "text-classification"), "linear"
    if not tasks:
        raise ShapeError(f"The classification head of `{config.model_type}` is of a kind that is not known here.")
    shape = _shape(config, model, head)
    if config.is_encoder_decoder and shape.tied_embeddings and "lm_head.weight" in stored:
        own_output = Linear("lm_head", "other", -1, shape.hidden, shape.vocabulary, bias=False)
        shape = replace(shape, tied_embeddings=False, linears=(*shape.linears, own_output))
    return shape, tasks


def tasks_of(config: PretrainedConfig) -> tuple[Task, ...]:
    """Encoders classify, decoders write and classify, encoder-decoders translate text to text."""
    kind = config.model_type
    classifies = kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    if config.is_encoder_decoder:
        return ("seq2seq",) if kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES else ()
    if kind in ENCODERS:
        return ("text-classification",) if classifies else ()
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return ("causal-lm", "text-classification") if classifies else ("causal-lm",)
    return ()


def _built(config: PretrainedConfig, task: Task) -> Any:
    """The empty model. Raises ShapeError where its sizes contradict each other, however the library says so."""
    try:
        return empty_model(config, task)
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["its sizes contradict each other"])[0][:200]
        raise ShapeError(f"config.json describes a network that cannot be built: {reason}") from error


def empty_model(config: PretrainedConfig, task: Task, labels: int = HEAD_LABELS) -> Any:
    """The model of a task with all parameters on the meta device."""
    plain = {key: value for key, value in config.to_dict().items() if key not in ("id2label", "label2id")}
    named = type(config).from_dict({**plain, "num_labels": labels})
    with init_empty_weights(include_buffers=False):
        model = MODEL_OF_TASK[task].from_config(named, trust_remote_code=False)
    model.tie_weights()
    return model


def count_parameters(module: nn.Module) -> int:
    """All parameters, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _bare(model: Any) -> nn.Module:
    """The network without its task's head; T5 keeps its stacks directly beside the head."""
    bare: nn.Module = getattr(model, model.base_model_prefix, model)
    return bare


def _bare_parameters(model: Any) -> int:
    """Parameters without the head; an output layer that is tied to the embeddings is no extra."""
    bare = _bare(model)
    total = count_parameters(bare)
    untied_output = bare is model and _output_layer(model) is not None and not _is_tied(model)
    return total - (_output_layer(model).weight.numel() if untied_output else 0)


def _output_layer(model: Any) -> Any:
    return model.get_output_embeddings()


def _is_tied(model: Any) -> bool:
    output = _output_layer(model)
    return output is not None and output.weight is model.get_input_embeddings().weight


def _classification_head(config: PretrainedConfig, model: Any) -> str | None:
    """The kind of head, found by its size; None where none of the known kinds fits."""
    classifier = empty_model(config, "text-classification")
    extra = count_parameters(classifier) - count_parameters(_bare(classifier))
    hidden, labels = config.hidden_size, HEAD_LABELS
    sizes = {
        "linear": hidden * labels + labels,
        "linear_no_bias": hidden * labels,
        "dense": hidden * hidden + hidden + hidden * labels + labels,
    }
    return next((kind for kind, size in sizes.items() if size == extra), None)


def _shape(config: PretrainedConfig, model: Any, head: str) -> Shape:
    linears = _linears(config, model)
    return Shape(
        model_type=config.model_type,
        hidden=config.hidden_size,
        layers=max((linear.layer for linear in linears), default=-1) + 1,
        feed_forward=_width(linears, "down", getattr(config, "intermediate_size", None)),
        heads=config.num_attention_heads,
        key_value=_key_value_width(config, linears),
        vocabulary=config.vocab_size,
        positions=_positions(config),
        parameters=_bare_parameters(model),
        tied_embeddings=_is_tied(model),
        linears=linears,
        head=head,
        norms=_norms(config, model),
        blocks=_blocks(config, model),
        pooler=sum(each.numel() for name, each in model.named_parameters() if is_pooler(name)),
        decoder_layers=decoder_blocks(config) if config.is_encoder_decoder else 0,
    )


def is_norm(module: nn.Module) -> bool:
    """LayerNorm, RMSNorm and the families' own ones, which share no class but the word."""
    weight = getattr(module, "weight", None)
    return "norm" in type(module).__name__.lower() and isinstance(weight, nn.Parameter) and weight.ndim == 1


def is_pooler(name: str) -> bool:
    """Whether a parameter of this name belongs to an encoder's pooler."""
    return ".pooler." in f".{name}"


def block_number(config: PretrainedConfig, name: str) -> int:
    """The block that a module or parameter of this name stands in, the decoder's behind the encoder's; -1 outside."""
    block = block_of(name)
    return block + _encoder_blocks(config) if config.is_encoder_decoder and in_decoder(name) and block >= 0 else block


def final_norms(config: PretrainedConfig, model: Any) -> set[str]:
    """Names of the normalisation layers that stand behind the last block."""
    names = [name for name, module in model.named_modules() if is_norm(module) or block_of(name) >= 0]
    last_block = max((place for place, name in enumerate(names) if block_of(name) >= 0), default=len(names))
    return set(names[last_block + 1 :])


def _norms(config: PretrainedConfig, model: Any) -> tuple[Norm, ...]:
    bare = {id(module) for module in _bare(model).modules()}
    final = final_norms(config, model)
    return tuple(
        Norm(
            name,
            block_number(config, name),
            module.weight.numel(),
            getattr(module, "bias", None) is not None,
            name in final,
        )
        for name, module in model.named_modules()
        if is_norm(module) and id(module) in bare
    )


def _blocks(config: PretrainedConfig, model: Any) -> tuple[int, ...]:
    sizes: dict[int, int] = {}
    for name, parameter in model.named_parameters():
        block = block_number(config, name)
        if block >= 0:
            sizes[block] = sizes.get(block, 0) + parameter.numel()
    return tuple(sizes[block] for block in sorted(sizes))


def _linears(config: PretrainedConfig, model: Any) -> tuple[Linear, ...]:
    """Every linear but the classification head and an output layer that is tied to the embeddings."""
    bare = {id(module) for module in _bare(model).modules()}
    output = _output_layer(model)
    found = []
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, Conv1D)) or (module is output and _is_tied(model)):
            continue
        if id(module) in bare or module is output:
            found.append(_linear(config, name, module))
    return tuple(found)


def _linear(config: PretrainedConfig, name: str, module: nn.Linear | Conv1D) -> Linear:
    inputs, outputs = module.weight.shape if isinstance(module, Conv1D) else reversed(module.weight.shape)
    return Linear(
        name,
        role_of(config.model_type, name),
        block_number(config, name),
        inputs,
        outputs,
        module.bias is not None,
        isinstance(module, Conv1D),
    )


def _encoder_blocks(config: PretrainedConfig) -> int:
    """Blocks of the decoder are numbered behind those of the encoder."""
    return int(getattr(config, "encoder_layers", None) or config.num_hidden_layers)


def decoder_blocks(config: PretrainedConfig) -> int:
    """Blocks of the decoder of an encoder-decoder."""
    own = getattr(config, "decoder_layers", None) or getattr(config, "num_decoder_layers", None)
    return int(own or config.num_hidden_layers)


def _width(linears: tuple[Linear, ...], role: str, otherwise: int | None) -> int:
    return next((linear.inputs for linear in linears if linear.role == role), otherwise or 0)


def _key_value_width(config: PretrainedConfig, linears: tuple[Linear, ...]) -> int:
    """Width of keys and values; with grouped queries narrower than the hidden state."""
    separate = next((linear.outputs for linear in linears if linear.role == "k"), None)
    if separate is not None:
        return separate
    groups = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(groups * head)


def _positions(config: PretrainedConfig) -> int:
    """Longest input in tokens; 0 where positions are relative and the architecture sets no limit."""
    positions = int(getattr(config, "max_position_embeddings", None) or 0)
    if config.model_type in SHIFTED_POSITIONS:
        return positions - (config.pad_token_id or 0) - 1
    return positions
