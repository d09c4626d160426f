"""Pipelines that encode prompts by an ``encode_prompt`` of their own, as data: what it returns and what of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HIDDEN = "prompt_embeds"
"""Argument of the pipeline's call: the sequence that the denoiser reads."""


@dataclass(frozen=True)
class Family:
    """How one class of pipelines turns a prompt into what its denoiser reads."""

    encoders: Mapping[str, str]
    """Part -> what of the prompt's conditioning comes from it: ``sequence``, ``pooled``, ``sequence and pooled`` (each from a
    block of its own) or ``sequence, pooled from its end``."""
    returns: tuple[str, ...]
    """What :attr:`method` returns, in order, by the names of the call's arguments."""
    mask: str | None = None
    """Argument that says which positions are read; ``None``: all are."""
    pooled: str | None = None
    """Argument with the pooled vector, where there is one."""
    optional: tuple[str, ...] = ()
    """Encoders that a folder may lack."""
    drawing: tuple[str, ...] = ("transformer", "vae")
    """Parts that draw, which training does not load."""
    method: str = "encode_prompt"
    """Of the pipeline, by which it encodes."""


_MASKED = (HIDDEN, "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")
_PLAIN = (HIDDEN, "negative_prompt_embeds")
_ONE = {"text_encoder": "sequence"}
_ONE_MASKED = Family(_ONE, _MASKED, "prompt_attention_mask")

FAMILIES: Mapping[str, Family] = {
    "StableDiffusion3Pipeline": Family(
        {
            "text_encoder": "sequence and pooled",
            "text_encoder_2": "sequence and pooled",
            "text_encoder_3": "sequence",
        },
        (HIDDEN, "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"),
        pooled="pooled_prompt_embeds",
        optional=("text_encoder_3",),
    ),
    "FluxPipeline": Family(
        {"text_encoder": "pooled", "text_encoder_2": "sequence"},
        (HIDDEN, "pooled_prompt_embeds", "text_ids"),
        pooled="pooled_prompt_embeds",
    ),
    "PixArtAlphaPipeline": _ONE_MASKED,
    "PixArtSigmaPipeline": _ONE_MASKED,
    "SanaPipeline": _ONE_MASKED,
    "AuraFlowPipeline": _ONE_MASKED,
    "LTXPipeline": _ONE_MASKED,
    "WanPipeline": Family(_ONE, _PLAIN, drawing=("transformer", "transformer_2", "vae")),
    "CogVideoXPipeline": Family(_ONE, _PLAIN),
    "KandinskyV22PriorPipeline": Family(
        {"text_encoder": "sequence, pooled from its end"},
        ("text_embeds", HIDDEN, "text_mask"),
        "text_mask",
        "text_embeds",
        drawing=("prior",),
        method="_encode_prompt",
    ),
}
"""Class of the pipeline -> how it encodes prompts; each is tested on a local folder of the same classes."""
_PRIOR = "redact the folder of its prior (KandinskyV22PriorPipeline), whose text encoder is the only part that reads the prompt"
ELSEWHERE: Mapping[str, str] = {
    "KandinskyV22Pipeline": f"It draws from embeddings of pictures and reads no prompt; {_PRIOR}.",
    "KandinskyV22CombinedPipeline": f"Its prompt goes through a prior; {_PRIOR}, and put that part in the place of prior_text_encoder.",
}
"""Class of a pipeline whose prompt is read in another folder -> what to do."""
