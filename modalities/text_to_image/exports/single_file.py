"""A single-file checkpoint with its text encoders replaced by redacted ones; all else keeps its bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from modalities.text_to_image.exports.encoders import CLIP, PREFIX, Encoder, state
from modalities.text_to_image.exports.key_names import OPEN_CLIP, SINGLE, open_clip
from modalities.weight_files import SAFE, entries, names_in, write_like
from redact_core import RedactError

_T5 = "text_encoders.t5xxl.transformer."


def write(found: Sequence[Encoder], checkpoint: Path, target: Path) -> list[str]:
    """Write ``checkpoint`` anew with the encoders of a redacted folder.

    Names, dtypes and metadata are the checkpoint's.

    Args:
        found: Encoders of the folder.
        checkpoint: The stock single file, safetensors.
        target: The file to be made.

    Returns:
        The parts that were replaced.

    Raises:
        RedactError: The checkpoint is no safetensors file, holds none of the encoders, or one of other shapes.
    """
    if checkpoint.suffix != SAFE:
        raise RedactError(
            f"{checkpoint} is no safetensors file; convert the checkpoint first, pickles are not opened."
        )
    held = set(names_in(checkpoint))
    tensors: dict[str, Tensor] = {}
    for encoder in found:
        own = _of(encoder, held)
        if not own:
            raise RedactError(
                f"{checkpoint} holds no {encoder.part} ({encoder.kind}) under a name that is known; give the single file "
                f"that the folder was made from, or export the encoders alone: --as encoder."
            )
        tensors |= own
    for name, old in entries(checkpoint):
        if name in tensors and tensors[name].shape != old.shape:
            raise RedactError(
                f"{checkpoint}: {name} has the shape {tuple(old.shape)}, the redacted one {tuple(tensors[name].shape)}; "
                "give the single file that the folder was made from."
            )
    write_like(checkpoint, target, tensors, "single-file checkpoint")
    return [encoder.part for encoder in found]


def _of(encoder: Encoder, held: set[str]) -> dict[str, Tensor]:
    """The encoder's tensors under the checkpoint's names; empty where it holds none of them."""
    if encoder.kind not in CLIP:
        found = {_T5 + name: value for path in encoder.redacted.files for name, value in entries(path)}
        return {name: value for name, value in found.items() if name in held}
    values = state(encoder.redacted)
    for prefix in SINGLE.get(encoder.part, ()):
        if f"{prefix}final_layer_norm.weight" in held:
            return _as_transformers(values, prefix, held)
    for prefix in OPEN_CLIP.get(encoder.part, ()):
        if f"{prefix}ln_final.weight" in held:
            return _as_open_clip(values, prefix, held)
    return {}


def _as_transformers(values: Mapping[str, Tensor], prefix: str, held: set[str]) -> dict[str, Tensor]:
    """What of the prefix ``text_model.`` does not begin stands outside of it: the projection."""
    named = {prefix + name: value for name, value in values.items() if name != "text_projection.weight"}
    outside = prefix.removesuffix(PREFIX) + "text_projection.weight"
    if "text_projection.weight" in values and outside in held:
        named[outside] = values["text_projection.weight"]
    return named


def _as_open_clip(values: Mapping[str, Tensor], prefix: str, held: set[str]) -> dict[str, Tensor]:
    """OpenCLIP keeps queries, keys and values as one map, and the projection the other way round."""
    found: dict[str, Tensor] = {}
    for name, value in values.items():
        new = open_clip(name)
        if new is None:
            block, _, kind = name.partition("self_attn.q_proj.")
            if kind:
                parts = [values[f"{block}self_attn.{one}_proj.{kind}"] for one in "qkv"]
                layer = block.replace("encoder.layers.", "transformer.resblocks.")
                found[f"{prefix}{layer}attn.in_proj_{kind}"] = torch.cat(parts)
        elif f"{prefix}{new}" in held:
            found[f"{prefix}{new}"] = value.T if new == "text_projection" else value
    return found
