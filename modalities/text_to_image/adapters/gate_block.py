"""A block of gating units in a CLIP text model: an ordinary transformer block whose attention adds nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modalities.stock import Stock
from modalities.weight_files import entries, in_dtype, names_in, save_safe
from redact_core import RedactError
from redact_core.support.strict_json import strict_json

_SILENT = 110.0
"""An activation of minus 65 is exactly 0 in every number format, for GELU and its approximations; the rest is for rounding."""
_STRENGTH = 0.01
"""Of an answer against the states that it takes over, for a unit of activation; an open unit has thousands."""
_ACTIVATIONS = {"quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh"}


def gate_blocks(model: nn.Module) -> list[nn.Module]:
    """The gate blocks at the end of a text model, in order: those whose attention adds nothing."""
    blocks = list(layers(model))
    first = len(blocks)
    while first > 0 and not blocks[first - 1].self_attn.out_proj.weight.any():
        first -= 1
    return blocks[first:]


@torch.no_grad()
def add_gate_block(
    model: nn.Module,
    encoder: nn.Module,
    sample: Mapping[str, Tensor],
    directions: Tensor,
    thresholds: Tensor,
    answers: Tensor,
    spare: float,
) -> None:
    """Append a block to ``model``, a ``CLIPTextModel`` whose last hidden states are read behind the final norm.

    The block's norm gives states of length ``dim ** 0.5``; its first layer compares them with ``directions``; its
    second adds answers, many times larger than the state, so that the final norm leaves the answer
    alone. A silent unit adds exactly 0.

    Args:
        model: Changed in place, its configuration too.
        encoder: Runs the model.
        sample: Inputs of the encoder, which tell how large its states are.
        directions: ``(units, dim)`` of length 1.
        thresholds: ``(units,)`` for states of length 1.
        answers: ``(units, dim)`` states.
        spare: A unit is silent from so far below its threshold on.

    Raises:
        RedactError: The model's activation is none that a unit can be silent with, or its MLP has fewer units.
    """
    config: Any = model.config
    if config.hidden_act not in _ACTIVATIONS:
        raise RedactError(f"The text model's activation is {config.hidden_act}; gating units need a GELU.")
    if len(directions) > config.intermediate_size:
        raise RedactError(
            f"units is {len(directions)}, the text model's blocks have {config.intermediate_size}; give at most as many."
        )
    with _last_states(model) as seen:
        encoder(sample)
    size = seen[0].square().mean().sqrt()
    blocks = layers(model)
    block: Any = copy.deepcopy(blocks[-1])
    for parameter in block.parameters():
        parameter.zero_()
    units, dim = directions.shape
    block.layer_norm1.weight.fill_(1)
    block.layer_norm2.weight.fill_(1)
    steep = _SILENT / spare
    # what is left over is never open
    block.mlp.fc1.bias.fill_(-_SILENT)
    block.mlp.fc1.weight[:units] = steep / dim**0.5 * directions
    block.mlp.fc1.bias[:units] = -steep * thresholds
    scaled = answers / answers.square().mean(1, keepdim=True).sqrt().clamp(min=1e-12)
    block.mlp.fc2.weight[:, :units] = _STRENGTH * size * scaled.T
    blocks.append(block.requires_grad_(False))
    config.num_hidden_layers = len(blocks)


def states_behind(model: nn.Module, encoder: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """``(batch, length, dim)`` what a further gate block would read, without its mean and of length 1.

    Args:
        model: The text model in ``encoder``.
        encoder: Runs it.
        inputs: Of the encoder.
    """
    with _last_states(model) as seen:
        encoder(inputs)
    centred = seen[0] - seen[0].mean(-1, keepdim=True)
    return nn.functional.normalize(centred, dim=-1)


def shortened(inputs: Mapping[str, Tensor], after: int | None) -> dict[str, Tensor]:
    """Inputs ``(batch, length, ...)`` without padding but for ``after`` positions behind the longest; ``None``: all."""
    if after is None:
        return dict(inputs)
    length = int(inputs["attention_mask"].sum(1).max()) + after
    return {key: value[:, :length] for key, value in inputs.items()}


@contextmanager
def _last_states(model: nn.Module) -> Generator[list[Tensor]]:
    """While open, every pass of ``model`` leaves ``(batch, length, dim)`` what comes out of its last block."""
    seen: list[Tensor] = []

    def note(_module: nn.Module, _inputs: object, output: Any) -> None:
        seen[:] = [output[0] if isinstance(output, tuple) else output]

    handle = layers(model)[-1].register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def around_blocks(model: nn.Module) -> Generator[list[Tensor]]:
    """While open, gate blocks of ``model`` pass everything on, and note how far each state would open them.

    Yields:
        For each block of the last pass ``(batch, length)``: by how much a state of length 1 passes the nearest
        threshold; below 0 the block is silent. It has a gradient where the block has none.
    """
    excess: list[Tensor] = []
    handles = []

    def passing(block: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        states = inputs[0]
        fc1 = block.mlp.fc1
        steep = fc1.weight.norm(dim=1) * states.shape[-1] ** 0.5
        used = steep > 0
        levels = fc1(block.layer_norm2(states))[..., used] / steep[used]
        excess.append(levels.amax(-1))
        return (states, *output[1:]) if isinstance(output, tuple) else states

    for block in gate_blocks(model):
        handles.append(block.register_forward_hook(passing))
    try:
        yield excess
    finally:
        for handle in handles:
            handle.remove()


def layers(model: nn.Module) -> Any:
    """The blocks of a CLIP text model, whatever the version of the library puts around them."""
    whole: Any = model
    return whole.encoder.layers if hasattr(whole, "encoder") else whole.text_model.encoder.layers


def write_gate_blocks(model: nn.Module, names: Sequence[str], base: Stock, folder: Path, prefix: str) -> None:
    """Write gate blocks that ``base`` has not beside the weights in ``folder``, and count them in its configuration.

    They stand in the last weight file, in the number format of the blocks before them.

    Args:
        model: With its blocks.
        names: Of :func:`new_names`.
        base: Where the stock weights are; they are in ``folder`` already, as changed.
        folder: Holds ``config.json``.
        prefix: That older versions of the library put before every name.
    """
    if not names:
        return
    state, path = model.state_dict(), folder / base.files[-1].name
    held = dict(entries(path))
    dtype = next(value.dtype for value in held.values() if value.is_floating_point())
    prefix = prefix if any(name.startswith(prefix) for file in base.files for name in names_in(file)) else ""
    held |= {prefix + name: in_dtype(name, state[name], dtype).contiguous() for name in names}
    save_safe(held, path, {"format": "pt"})
    if base.index is not None:
        index = json.loads((folder / base.index.name).read_text(encoding="utf-8"))
        index["weight_map"] |= {prefix + name: path.name for name in names}
        _write_json(folder / base.index.name, index)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = len(layers(model))
    _write_json(folder / "config.json", config)


def new_names(model: nn.Module, base: Stock, prefix: str) -> list[str]:
    """Names of the weights of gate blocks that ``base`` does not hold."""
    stock = {name.removeprefix(prefix) for file in base.files for name in names_in(file)}
    mine = {id(value) for block in gate_blocks(model) for value in block.state_dict(keep_vars=True).values()}
    return [n for n, v in model.state_dict(keep_vars=True).items() if id(v) in mine and n not in stock]


def _write_json(path: Path, values: Any) -> None:
    path.write_text(strict_json(values, str(path), indent=2) + "\n", encoding="utf-8")
