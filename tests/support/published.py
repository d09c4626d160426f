"""Sizes of text encoders as their published configurations state them, for models without weights (the meta device)."""

from typing import Any

import torch
import transformers
from torch import nn

PUBLISHED: dict[str, tuple[str, dict[str, Any], int]] = {
    "CLIP-L": (
        "CLIPTextModel",
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        123_060_480,
    ),
    "CLIP-G": (
        "CLIPTextModelWithProjection",
        {
            "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
            "projection_dim": 1280,
        },
        694_659_840,
    ),
    "T5-XXL": (
        "T5EncoderModel",
        {
            "d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "d_kv": 64, "vocab_size": 32128,
            "feed_forward_proj": "gated-gelu",
        },
        4_762_310_656,
    ),
}  # fmt: skip
"""Name -> class, its settings, and the weights of the published model (SDXL's and SD3's encoders, FLUX's T5)."""


def on_meta(name: str) -> nn.Module:
    """The model without its weights."""
    kind, sizes, _ = PUBLISHED[name]
    made: Any = getattr(transformers, kind)
    with torch.device("meta"):
        return made(made.config_class(**sizes))
