"""What a redaction did to the linear maps of a CLIP text encoder, as products of thin matrices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MAPS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2",
)  # fmt: skip
"""The linear maps of a block, for which every tool has key names."""
_NORMS = {"layer_norm1": MAPS[:3], "layer_norm2": MAPS[4:5]}
"""A norm, and the maps that read it and nothing else."""
_SMALL = 1e-3


@dataclass(frozen=True)
class Change:
    """How one linear map changed."""

    weight: Tensor
    """``(out, in)``."""
    bias: Tensor
    """``(out,)``."""


@dataclass(frozen=True)
class LowRank:
    """A change of weights as ``up @ down``."""

    down: Tensor
    """``(rank, in)``."""
    up: Tensor
    """``(out, rank)``."""
    bias: Tensor
    """``(out,)``, the change of the map's bias as it is."""


def changes(
    base: Mapping[str, Tensor], redacted: Mapping[str, Tensor]
) -> tuple[dict[str, Change], list[str]]:
    """The changes of all linear maps, those of the norms before them included; and the tensors that they leave out.

    A norm multiplies by g and adds b before its maps ``W x + c`` read it. A changed norm is the same as an unchanged
    one before the maps ``W' diag(g'/g)`` and ``c' + W' (b' - g'/g b)``, so that nothing of it is lost. Where g is
    almost 0, its channel is left out.

    Args:
        base: Float32, names without prefix; see :func:`.encoders.state`.
        redacted: The same of the redacted encoder.

    Returns:
        Map -> its change, of those that changed; and the names of changed tensors that no map can carry: token and
        position embeddings, and the last norm.
    """
    found: dict[str, Change] = {}
    carried: set[str] = set()
    layers = sorted({int(m[1]) for name in base if (m := re.match(r"encoder\.layers\.(\d+)\.", name))})
    for layer in layers:
        block = f"encoder.layers.{layer}."
        scale, shift = _norms(base, redacted, block)
        for name in MAPS:
            weight, bias = f"{block}{name}.weight", f"{block}{name}.bias"
            new, offset = redacted[weight], redacted[bias]
            if name in scale:
                offset = offset + new @ shift[name]
                new = new * scale[name]
            if not torch.equal(new, base[weight]) or not torch.equal(offset, base[bias]):
                found[block + name] = Change(new - base[weight], offset - base[bias])
            carried |= {weight, bias}
        carried |= {f"{block}{norm}.{kind}" for norm in _NORMS for kind in ("weight", "bias")}
    left = [name for name in base if name not in carried and not torch.equal(base[name], redacted[name])]
    return found, left


def _norms(
    base: Mapping[str, Tensor], redacted: Mapping[str, Tensor], block: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """For each map behind a changed norm: the factors ``(in,)`` of its columns, and what is added to its input."""
    scale: dict[str, Tensor] = {}
    shift: dict[str, Tensor] = {}
    for norm, maps in _NORMS.items():
        old, new = ((s[f"{block}{norm}.weight"], s[f"{block}{norm}.bias"]) for s in (base, redacted))
        if torch.equal(old[0], new[0]) and torch.equal(old[1], new[1]):
            continue
        usable = old[0].abs() > _SMALL * old[0].abs().mean()
        factor = torch.where(usable, new[0] / torch.where(usable, old[0], 1.0), 1.0)
        for name in maps:
            scale[name], shift[name] = factor, new[1] - factor * old[1]
    return scale, shift


def factors(change: Change, rank: int | None, tolerance: float) -> LowRank:
    """The best product of the smallest rank whose rest is at most ``tolerance`` of the change, in Frobenius norm.

    Args:
        change: Of one map.
        rank: At most so much, whatever the rest; ``None``: as much as the tolerance needs.
        tolerance: Share of the norm that may be lost; 0 keeps all but rounding.
    """
    u, s, v = torch.linalg.svd(change.weight.double(), full_matrices=False)
    energy = s.square()
    rest = energy.flip(0).cumsum(0).flip(0)  # rest[r] is lost with rank r
    allowed = max(tolerance, 1e-6) ** 2 * energy.sum()
    needed = int((rest > allowed).sum())
    kept = max(1, needed if rank is None else min(needed, rank))
    root = s[:kept].sqrt()
    return LowRank((root.unsqueeze(1) * v[:kept]).float(), (u[:, :kept] * root).float(), change.bias)
