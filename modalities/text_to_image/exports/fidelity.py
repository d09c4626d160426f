"""How near an encoder with a LoRA comes to the redacted one: measured on prompts, in units of what the redaction did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
from modalities.text_to_image.adapters.token_ids import token_ids
from modalities.text_to_image.exports.encoders import PREFIX
from modalities.text_to_image.exports.low_rank import LowRank
from redact_core import Conditioning

_ROWS = 64
"""Prompts of each kind at most."""
_BATCH = 16


@dataclass(frozen=True)
class Fidelity:
    """Squared distances of conditionings, over that from the base to the redacted encoder on redacted prompts."""

    redacted: float
    """On redacted prompts: 0 is the redaction itself, 1 is as far from it as the base."""
    retained: float
    """On other prompts, in the same unit."""


def fidelity(
    base: StableDiffusion,
    redacted: StableDiffusion,
    parts: Mapping[str, Mapping[str, LowRank]],
    prompts: Sequence[str],
) -> tuple[Fidelity, Fidelity] | None:
    """Add a LoRA to the encoders of ``base``, which is changed by it, and compare.

    Args:
        base: The untouched model.
        redacted: The redacted one.
        parts: Encoder -> map -> its low-rank change.
        prompts: Redacted ones; others are the vocabulary's.

    Returns:
        For a reader that takes the changes of biases, and for one that does not; ``None`` where there is no prompt, or
        the base encodes them as the redacted model does.
    """
    asked = [prompt for prompt in prompts if fits(base, prompt)][:_ROWS]
    others = [f"a {name}" for name in base.vocabulary.concepts if not any(name in prompt for prompt in asked)]
    others = [prompt for prompt in others if fits(base, prompt)][:_ROWS]
    if not asked:
        return None
    before, wanted = encoded(base, asked), encoded(redacted, asked)
    kept = encoded(redacted, others) if others else None
    unit = distance(before, wanted)
    if unit == 0:
        return None

    def measured() -> Fidelity:
        far = distance(encoded(base, asked), wanted) / unit
        return Fidelity(far, 0.0 if kept is None else distance(encoded(base, others), kept) / unit)

    changed = [(model, parts.get(part, {})) for part, model in base.encoder_modules().items()]
    for model, maps in changed:
        add(model, maps)
    without_biases = measured()
    for model, maps in changed:
        add_biases(model, maps)
    return measured(), without_biases


def fits(model: StableDiffusion, prompt: str) -> bool:
    """Whether the encoders read all of a prompt."""
    return len(token_ids(model.tokenizer, prompt)) <= model.tokenizer.model_max_length


@torch.no_grad()
def encoded(model: StableDiffusion, prompts: Sequence[str]) -> Conditioning:
    """Conditionings of prompts."""
    parts = [model.encode(prompts[i : i + _BATCH]) for i in range(0, len(prompts), _BATCH)]
    return Conditioning.cat(parts)


def distance(one: Conditioning, other: Conditioning) -> float:
    """Mean squared distance of sequences, and of pooled vectors where there are any."""
    read = one.mask.unsqueeze(-1)
    total = ((one.hidden - other.hidden).square() * read).sum()
    if one.pooled is not None and other.pooled is not None:
        total = total + (one.pooled - other.pooled).square().sum()
    return (total / len(one)).item()


@torch.no_grad()
def add(model: nn.Module, maps: Mapping[str, LowRank]) -> None:
    """Add low-rank changes to the weights of a CLIP text model in place, and leave its biases.

    Args:
        model: Of transformers.
        maps: Map, without the prefix ``text_model.``, -> its change.
    """
    own = _parameters(model)
    for name, one in maps.items():
        weight = own[f"{name}.weight"]
        weight += (one.up @ one.down).to(weight)


@torch.no_grad()
def add_biases(model: nn.Module, maps: Mapping[str, LowRank]) -> None:
    """Add what :func:`add` leaves, the changes of the biases."""
    own = _parameters(model)
    for name, one in maps.items():
        bias = own[f"{name}.bias"]
        bias += one.bias.to(bias)


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix(PREFIX): value for name, value in model.named_parameters()}
