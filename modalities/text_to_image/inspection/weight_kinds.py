"""What a loose safetensors file is, by the names of its tensors: LoRA, learned tokens, image-prompt adapter, checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from modalities.headers import Header, header
from redact_core.adapters.condition_paths import ConditionPath

_ENCODER_LORA = re.compile(
    r"^(text_encoder(_\d)?[._]|lora_te\d?_|lora_(clip_[lg]|t5xxl)|(base_model\.model\.)?text_model\.)"
)
_LORA = re.compile(r"(lora_(A|B|up|down)|\.lora\.|^lora_|lora_linear_layer|hada_w1|lokr_w1)")
SINGLE_FILE: Mapping[str, tuple[str, str]] = {
    "cond_stage_model.transformer.": ("text_encoder", "Stable Diffusion 1.x"),
    "cond_stage_model.model.": ("text_encoder", "Stable Diffusion 2.x"),
    "conditioner.embedders.0.transformer.": ("text_encoder", "Stable Diffusion XL"),
    "conditioner.embedders.1.model.": ("text_encoder_2", "Stable Diffusion XL"),
    "conditioner.embedders.0.model.": ("text_encoder_2", "Stable Diffusion XL refiner"),
    "text_encoders.clip_l.": ("text_encoder", "Stable Diffusion 3 or FLUX"),
    "text_encoders.clip_g.": ("text_encoder_2", "Stable Diffusion 3"),
    "text_encoders.t5xxl.": ("the T5", "Stable Diffusion 3 or FLUX"),
}
"""Beginning of the names in a single-file checkpoint -> the part, and whose checkpoints have it."""
_TOKENS = {"emb_params", "clip_l", "clip_g", "string_to_param.*"}
_FEW = 3
"""A file of learned tokens holds at most so many tensors."""


def loose_file(path: Path, name: str) -> tuple[ConditionPath, ...]:
    """The paths that a safetensors file opens when it is loaded beside the model.

    Args:
        path: The file.
        name: As it is shown.

    Raises:
        RedactError: It cannot be read.
    """
    found = header([path])
    names = list(found.shapes)
    single = _single(names, found, name)
    if single:
        return single
    if any(one.startswith(("image_proj.", "ip_adapter.")) or "image_proj." in one for one in names):
        return (
            ConditionPath(
                name,
                "image prompt",
                f"IP-Adapter, {found.said()}",
                advice="A picture of what was redacted asks for it; a redaction of words does not change that. Screen "
                "the pictures with the guard Espresso.",
            ),
        )
    if any(_LORA.search(one) for one in names):
        return (_lora(names, found, name),)
    if len(names) <= _FEW and (set(names) & _TOKENS or all(_is_table(found, one) for one in names)):
        rows = max((shape[0] if len(shape) > 1 else 1) for shape in found.shapes.values())
        return (
            ConditionPath(
                name,
                "learned tokens",
                f"textual inversion of {rows} vector(s), {found.said()}",
                advice="Its vectors enter below the redacted layers and may have learnt what was redacted: leave the "
                "file out, or test it with the attack ConceptInversion.",
            ),
        )
    return ()


def _is_table(found: Header, name: str) -> bool:
    shape = found.shapes[name]
    return len(shape) in {1, 2} and shape[-1] >= 8 and "." not in name


def _lora(names: list[str], found: Header, name: str) -> ConditionPath:
    touched = sorted({one for one in names if _ENCODER_LORA.match(one)})
    if touched:
        return ConditionPath(
            name,
            "LoRA of an encoder",
            f"{len(touched)} of {len(names)} tensors change an encoder, {found.said()}",
            advice="It is added to the redacted encoder and may bring back what was redacted: fuse it before the "
            "redaction, or leave it out.",
        )
    return ConditionPath(
        name,
        "LoRA",
        f"of the generator only, {found.said()}",
        advice="It changes what the generator draws for an embedding, not the embedding; it may have learnt what was "
        "redacted under another name.",
    )


def _single(names: list[str], found: Header, name: str) -> tuple[ConditionPath, ...]:
    parts = {prefix: part for prefix, part in SINGLE_FILE.items() if any(n.startswith(prefix) for n in names)}
    paths: list[ConditionPath] = []
    for prefix, (part, whose) in parts.items():
        own = {one: shape for one, shape in found.shapes.items() if one.startswith(prefix)}
        said = Header(own, found.formats, {}).said()
        paths.append(ConditionPath(f"{name}: {part}", "text encoder", f"of {whose}, {said}"))
    return tuple(paths)
