"""What a speaker encoder ends with, for methods in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modalities.text_to_speech.encoders.voice_encoder import VoiceEncoder
from redact_core import LastLinear, RedactError


def find_last_linear(encoder: nn.Module) -> LastLinear:
    """The linear layer that gives the embedding, which is what ECAPA-TDNN and x-vectors end with.

    Raises:
        RedactError: The encoder ends with something else.
    """
    linear = [m for m in encoder.modules() if isinstance(m, nn.Linear | nn.Conv1d)]
    if isinstance(encoder, VoiceEncoder) and linear:
        last = linear[-1]
        found = (
            LastLinear(last, last, _places_first) if isinstance(last, nn.Conv1d) else LastLinear(last, last)
        )
        device = last.weight.device
        clip = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)).to(device)
        with torch.no_grad(), found.last_pass() as last_pass:
            if torch.equal(encoder({"waveform": clip}).hidden, last_pass.output):
                return found
    raise RedactError(
        f"{type(encoder).__name__} does not end with a linear layer; use Distillation, which trains."
    )


def _places_first(x: Tensor) -> Tensor:
    return x.transpose(1, 2)
