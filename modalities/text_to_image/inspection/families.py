"""Pipelines that encode prompts by an ``encode_prompt`` of their own, as data: what it returns and what of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "prompt_embeds"
"""Argument of the pipeline's call: the sequence that the denoiser reads."""


@dataclass(frozen=True)
class Family:
    """How one class of pipelines turns a prompt into what its denoiser reads."""

    encoders: Mapping[str, str]
    """Part -> what of the prompt's conditioning comes from it: ``sequence``, ``pooled`` or ``sequence and pooled``."""
    returns: tuple[str, ...]
    """What ``encode_prompt`` returns, in order, by the names of the call's arguments."""
    length: int
    """``max_sequence_length``: tokens of the longest tokenizer."""
    mask: str | None = None
    """Argument that says which positions are read; ``None``: all are."""
    pooled: str | None = None
    """Argument with the pooled vector, where there is one."""
    optional: tuple[str, ...] = ()
    """Encoders that a folder may lack."""
    takes_length: bool = True
    """``encode_prompt`` and the call have ``max_sequence_length``."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of ``encode_prompt`` that the pipeline's own call gives."""
    denoiser: str = "transformer"
    """The part that draws; an index may list several, such as ``transformer_2``."""


_MASKED = (HIDDEN, "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")
_PLAIN = (HIDDEN, "negative_prompt_embeds")
_ONE = {"text_encoder": "sequence"}


def _masked(length: int, **more: Any) -> Family:
    """One encoder, whose mask the denoiser is told."""
    return Family(_ONE, _MASKED, length, "prompt_attention_mask", **more)


FAMILIES: Mapping[str, Family] = {
    "StableDiffusion3Pipeline": Family(
        {
            "text_encoder": "sequence and pooled",
            "text_encoder_2": "sequence and pooled",
            "text_encoder_3": "sequence",
        },
        (HIDDEN, "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"),
        256,
        pooled="pooled_prompt_embeds",
        optional=("text_encoder_3",),
        arguments={"prompt_2": None, "prompt_3": None},
    ),
    "FluxPipeline": Family(
        {"text_encoder": "pooled", "text_encoder_2": "sequence"},
        (HIDDEN, "pooled_prompt_embeds", "text_ids"),
        512,
        pooled="pooled_prompt_embeds",
        arguments={"prompt_2": None},
    ),
    "PixArtAlphaPipeline": _masked(120),
    "PixArtSigmaPipeline": _masked(300),
    "SanaPipeline": _masked(300),
    "AuraFlowPipeline": _masked(256),
    "LTXPipeline": _masked(128),
    "MochiPipeline": _masked(256),
    "WanPipeline": Family(_ONE, _PLAIN, 512),
    "CogVideoXPipeline": Family(_ONE, _PLAIN, 226),
    "Kandinsky3Pipeline": Family(
        _ONE,
        (*_PLAIN, "attention_mask", "negative_attention_mask"),
        128,
        "attention_mask",
        takes_length=False,
        denoiser="unet",
    ),
}
"""Class of the pipeline -> how it encodes prompts; each is tested on a local folder of the same classes."""
