"""Gates in a SpeechBrain folder: classes of SpeechBrain and PyTorch alone, named in its settings file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from torch import Tensor

from modalities.weight_files import entries, refusing
from redact_core import RedactError
from redact_core.gates import Gate, gate_like
from redact_core.gates.gate import SHARPNESS
from redact_core.gates.geometry import POOL

NAME, GATED = "voice_gate", "gated_embedding_model"
_BLOCKS = "speechbrain.nnet.containers.ConnectBlocks"
_ROW = "speechbrain.nnet.containers.LengthsCapableSequential"
_STEM = "embedding_model"
_NET, _MOVES, _ANSWER = "1.blocks.0.0.1.", "2.blocks.0.0.4.weight", "4.blocks.0.0.3.weight"
"""Where the parts of a gate are in its file."""


_MUL = "\n  shortcut_combine_fn: !name:torch.mul"


def gate_block(number: int, dim: int, groups: int) -> str:
    """The settings of one gate, as HyperPyYAML reads them.

    The embedding gets two more places, for the excess and how far it is above the cap: ``[e, 0, 0]``, ``[e, x, o]``, moved
    ``[e', x, o]``, ``[(1 - g) e', x, o]``, ``[(1 - g) e' + g r, x, o]``, and loses them. Shut, 0 is added, it is multiplied by 1 and 0
    is added, so that it keeps its bits. The length of the embedding is the sum of its products with itself over the root of their mean.
    """
    own = f"{NAME}_{number}"

    def block(part: str, width: int, combine: str = "") -> str:
        return f"""{own}_{part}_block: !new:{_BLOCKS}
  input_shape: [1, 1, {width}]{combine}
{own}_{part}_append: !apply:{_BLOCKS}.append
  self: !ref <{own}_{part}_block>
  layer: !ref <{own}_{part}>
  end_of_block: True"""

    norm = f"""  - !new:torch.nn.RMSNorm
    normalized_shape: {dim}
    eps: 1.0e-12
    elementwise_affine: False"""
    alone = """  - !new:torch.nn.ConstantPad1d
    padding: [0, -2]
    value: 0.0"""
    decision = f"""  - !new:torch.nn.ConstantPad1d
    padding: [{-dim}, 0]
    value: 0.0
  - !new:torch.nn.Linear
    in_features: 2
    out_features: 1
  - !new:torch.nn.Hardtanh
    min_val: 0.0
    max_val: 1.0"""
    return f"""
{own}_net: !new:torch.nn.Sequential
{norm}
  - !new:torch.nn.Linear
    in_features: {dim}
    out_features: {POOL * (1 + groups)}
  - !new:torch.nn.MaxPool1d
    kernel_size: {POOL}
  - !new:torch.nn.Linear
    in_features: {1 + groups}
    out_features: {3 * groups}
    bias: False
  - !new:torch.nn.MaxPool1d
    kernel_size: {groups}
  - !new:torch.nn.Linear
    in_features: 3
    out_features: 3
  - !new:torch.nn.ReLU
  - !new:torch.nn.Linear
    in_features: 3
    out_features: 2
{own}_excess: !new:torch.nn.Sequential
{alone}
  - !ref <{own}_net>
  - !new:torch.nn.ConstantPad1d
    padding: [{dim}, 0]
    value: 0.0
{own}_length: !new:torch.nn.Sequential
{alone}
{norm}
  - !new:torch.nn.ConstantPad1d
    padding: [0, 2]
    value: 1.0
{own}_product: !new:torch.nn.Linear
  in_features: 3
  out_features: 3
  bias: False
{block("length", dim + 2, _MUL)}
{block("product", 3, _MUL)}
{own}_move: !new:torch.nn.Sequential
  - !ref <{own}_length_block>
  - !new:torch.nn.Linear
    in_features: {dim + 2}
    out_features: 3
    bias: False
  - !new:torch.nn.ReLU
  - !ref <{own}_product_block>
  - !new:torch.nn.Linear
    in_features: 3
    out_features: {dim + 2}
    bias: False
{own}_remove: !new:torch.nn.Sequential
{decision}
  - !new:torch.nn.Linear
    in_features: 1
    out_features: {dim + 2}
{own}_answer: !new:torch.nn.Sequential
{decision}
  - !new:torch.nn.Linear
    in_features: 1
    out_features: {dim + 2}
    bias: False
{block("excess", dim + 2)}
{block("move", dim + 2)}
{block("remove", dim + 2, _MUL)}
{block("answer", dim + 2)}
{own}: !new:torch.nn.Sequential
  - !new:torch.nn.ConstantPad1d
    padding: [0, 2]
    value: 0.0
  - !ref <{own}_excess_block>
  - !ref <{own}_move_block>
  - !ref <{own}_remove_block>
  - !ref <{own}_answer_block>
{alone}
"""


def with_gates(text: str, gates: Sequence[Gate]) -> str:
    """The settings ``text`` of an encoder, without gates or with earlier ones, with all of ``gates``.

    Raises:
        RedactError: The settings name no ``embedding_model`` among their modules and parameters.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10**6
    settings: Any = yaml.load(text)
    try:
        modules, loadables = settings["modules"], settings["pretrainer"]["loadables"]
        modules[_STEM]
    except (KeyError, TypeError) as error:
        raise RedactError(
            "The settings of this SpeechBrain folder have no modules.embedding_model and pretrainer.loadables, so "
            "gates have no place in them; export the gates alone."
        ) from error
    for name in [key for key in settings if str(key).startswith((f"{NAME}_", GATED))]:
        del settings[name]
    for name in [key for key in loadables if str(key).startswith(f"{NAME}_")]:
        del loadables[name]
    parts = [gate_block(i, len(g.answer), _groups(g)) for i, g in enumerate(gates, 1)]
    row = [f"  - !ref <{_STEM}>", *(f"  - !ref <{NAME}_{i}>" for i in range(1, len(gates) + 1))]
    parts.append("\n".join([f"\n{GATED}: !new:{_ROW}", *row, ""]))
    modules[_STEM] = yaml.load(f"x: !ref <{GATED}>")["x"]
    for i in range(1, len(gates) + 1):
        loadables[f"{NAME}_{i}"] = yaml.load(f"x: !ref <{NAME}_{i}>")["x"]
    stream = io.StringIO()
    yaml.dump(settings, stream)
    return stream.getvalue() + "".join(parts)


def gate_state(gate: Gate) -> dict[str, Tensor]:
    """The parameters of the modules of :func:`gate_block`, by SpeechBrain's names."""
    answer, away, aside = (x.detach().cpu() for x in (gate.answer, gate.away, gate.aside))
    dim, none = len(answer), torch.zeros(2)
    length = torch.zeros(3, dim + 2)
    length[0, :dim], length[1, dim], length[2, dim + 1] = dim**-0.5, 1.0, 1.0
    times_length = torch.zeros(3, 3)
    times_length[1:, 0] = 1.0
    decision = {
        "weight": torch.tensor([[SHARPNESS, 0.0]]),
        "bias": -SHARPNESS * gate.sure.detach().cpu(),
    }
    return (
        {f"{_NET}{name}": value.detach().cpu() for name, value in gate.net.state_dict().items()}
        | {f"{part}.blocks.0.0.1.{name}": value for part in (3, 4) for name, value in decision.items()}
        | {
            "2.blocks.0.0.1.weight": length,
            "2.blocks.0.0.3.blocks.0.0.weight": times_length,
            _MOVES: torch.stack([torch.zeros(dim + 2), *(-torch.cat([x, none]) for x in (away, aside))], 1),
            "3.blocks.0.0.3.weight": torch.cat([-torch.ones(dim), none])[:, None],
            "3.blocks.0.0.3.bias": torch.ones(dim + 2),
            _ANSWER: torch.cat([answer, none])[:, None],
        }
    )


def gate_names(loadables: Iterable[str]) -> list[str]:
    """The names of gates among those of loadables, in their order."""
    found = [name for name in loadables if re.fullmatch(rf"{NAME}_\d+", name)]
    return sorted(found, key=lambda name: int(name.rpartition("_")[2]))


def read_gate(path: Path) -> Gate:
    """The gate of a file that :func:`write_gate` wrote.

    Raises:
        RedactError: It holds something else.
    """
    with refusing(path.parent, f"gate in {path.name}", "gates as redact writes them"):
        return _gate(dict(entries(path)))


def write_gate(gate: Gate, number: int, folder: Path) -> None:
    """The file that SpeechBrain loads into the gate ``number``."""
    torch.save(gate_state(gate), folder / f"{NAME}_{number}.ckpt")  # SpeechBrain's own format


def _gate(state: Mapping[str, Tensor]) -> Gate:
    net = {f"net.{n.removeprefix(_NET)}": v for n, v in state.items() if n.startswith(_NET)}
    found = {
        "answer": state[_ANSWER][:-2, 0],
        "away": -state[_MOVES][:-2, 1],
        "aside": -state[_MOVES][:-2, 2],
        "sure": -state["3.blocks.0.0.1.bias"] / SHARPNESS,
    }
    return gate_like(net | found)


def _groups(gate: Gate) -> int:
    return len(gate.net.state_dict()["1.weight"]) // POOL - 1
