"""How near an encoder with a LoRA comes to the redacted one: measured on prompts, in units of what the redaction did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modalities.text_to_image.adapters.stable_diffusion import StableDiffusion
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
    *,
    biases: bool = True,
) -> Fidelity | None:
    """Add a LoRA to the encoders of ``base``, which is changed by it, and compare.

    Args:
        base: The untouched model.
        redacted: The redacted one.
        parts: Encoder -> map -> its low-rank change.
        prompts: Redacted ones; others are the vocabulary's.
        biases: Whether the reader takes the changes of biases.

    Returns:
        ``None`` where there is no prompt, or the base encodes them as the redacted model does.
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
    for part, model in base.encoder_modules().items():
        add(model, parts.get(part, {}), biases)
    far = distance(encoded(base, asked), wanted) / unit
    return Fidelity(far, 0.0 if kept is None else distance(encoded(base, others), kept) / unit)


def fits(model: StableDiffusion, prompt: str) -> bool:
    """Whether the encoders read all of a prompt."""
    return len(model.tokenizer(prompt, verbose=False)["input_ids"]) <= model.tokenizer.model_max_length


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
def add(model: nn.Module, maps: Mapping[str, LowRank], biases: bool = True) -> None:
    """Add low-rank changes to the weights of a CLIP text model in place.

    Args:
        model: Of transformers.
        maps: Map, without the prefix ``text_model.``, -> its change.
        biases: Whether biases change as well.
    """
    own: dict[str, Tensor] = {name.removeprefix(PREFIX): value for name, value in model.named_parameters()}
    for name, one in maps.items():
        weight = own[f"{name}.weight"]
        weight += (one.up @ one.down).to(weight)
        if biases:
            own[f"{name}.bias"] += one.bias.to(weight)
