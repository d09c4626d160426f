"""The verifier's embeddings: another network than the encoder that is redacted, which never grades itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.sound.clips import RATE, read_clip
from modalities.text_to_speech.encoders.voice_encoder import load_encoder


@lru_cache(maxsize=2)
@torch.inference_mode(mode=False)
def load_verifier(folder: Path) -> nn.Module:
    """The verifier of ``folder``, frozen and shared by all who ask; loaded once."""
    return load_encoder(folder).requires_grad_(False)


def embed(wave: Tensor, folder: Path) -> Tensor:
    """``(dim,)`` of length 1: all of ``wave (samples,)``, alone, so that it is neither cut nor padded.

    A sample of less than a third of a second, which holds no voice to speak of, is repeated.
    Computed where the verifier is, given back on the device of ``wave``. Differentiable.
    """
    short = max(1, -(-RATE // 3 // max(1, len(wave))))
    heard = wave.repeat(short) if len(wave) else wave.new_zeros(RATE // 3)
    verifier = load_verifier(folder)
    found = verifier({"waveform": heard[None].to(next(verifier.parameters()).device)}).hidden[0, 0]
    return normalize(found, dim=0).to(wave.device)


@lru_cache(maxsize=4096)
def embed_clip(path: Path, folder: Path) -> Tensor:
    """The same for a clip, which is embedded once and read as :func:`read_clip` does.

    Callers must not write into the result.
    """
    return embed(read_clip(path), folder)
