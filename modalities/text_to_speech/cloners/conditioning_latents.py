"""What XTTS gives its language model of a clip: 32 latents, by a network of attention and a perceiver.

Built here by the sizes of the checkpoint's own tensors (Casanova et al. 2024, arXiv 2406.04904), under their names.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, scaled_dot_product_attention
from torchaudio.functional import resample

from modalities.sound.clips import RATE
from modalities.text_to_speech.cloners.mel import Mel
from modalities.text_to_speech.cloners.paths import vector
from redact_core import Conditioning

_RATE, _HEAD, _SHORTEST_S, _FLOOR = 22_050, 64, 0.33, 1e-5


class ConditioningLatents(nn.Module):
    """``waveform (batch, samples)`` at 16 kHz -> ``hidden (batch, 1, latents * width)``, as ``get_gpt_cond_latents`` does it.

    The clip is cut into chunks; of each come ``latents`` vectors, whose means over the chunks lie one behind the other.

    Args:
        state: Tensors of ``gpt``, by XTTS's names, and ``mel_stats``.
        heads: Of attention: ``gpt_n_heads``.
        seconds: Of the clip that are read: ``gpt_cond_len``.
        chunk: Seconds of a chunk: ``gpt_cond_chunk_len``.

    Raises:
        KeyError: A tensor is missing.
    """

    mel_stats: Tensor

    def __init__(self, state: Mapping[str, Tensor], heads: int, seconds: int, chunk: int):
        super().__init__()
        self.seconds, self.chunk = seconds, chunk
        width, bands, _ = state["conditioning_encoder.init.weight"].shape
        blocks = 1 + max(int(n.split(".")[2]) for n in state if n.startswith("conditioning_encoder.attn."))
        self.conditioning_encoder = nn.ModuleDict(
            {
                "init": nn.Conv1d(bands, width, 1),
                "attn": nn.Sequential(*(_Attention(width, heads) for _ in range(blocks))),
            }
        )
        self.conditioning_perceiver = _Perceiver(state)
        self.mel = Mel(_RATE, 2048, torch.hann_window(1024), 256, bands, highest=8000.0, slaney=True)
        self.register_buffer("mel_stats", state["mel_stats"], persistent=False)

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        waves = resample(inputs["waveform"].float(), RATE, _RATE)[:, : _RATE * self.seconds]
        chunks = waves.split(_RATE * self.chunk, 1)
        long = [part for part in chunks if part.shape[1] >= _RATE * _SHORTEST_S] or chunks[:1]
        return vector(torch.stack([self._latents(part) for part in long]).mean(0).flatten(1))

    def _latents(self, waves: Tensor) -> Tensor:
        """``(batch, latents, width)`` of a chunk."""
        seen = self.mel(waves).clamp(min=_FLOOR).log() / self.mel_stats[:, None]
        seen = self.conditioning_encoder["attn"](self.conditioning_encoder["init"](seen))
        return self.conditioning_perceiver(seen.transpose(1, 2))


class _Attention(nn.Module):
    """Frames attend to frames; what is added to is the normalised input."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(_groups(width), width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        query, key, value = self.qkv(x).unflatten(1, (self.heads, 3, -1)).transpose(-1, -2).unbind(2)
        found = scaled_dot_product_attention(query, key, value)
        return x + self.proj_out(found.transpose(-1, -2).flatten(1, 2))


def _groups(width: int) -> int:
    groups = 8 if width <= 16 else 16 if width <= 64 else 32
    while width % groups:
        groups //= 2
    return groups


class _Perceiver(nn.Module):
    """Learned latents attend to themselves and to the frames ``(batch, frames, width)``."""

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        prefix = "conditioning_perceiver."
        count, width = state[f"{prefix}latents"].shape
        depth = 1 + max(int(n.split(".")[2]) for n in state if n.startswith(f"{prefix}layers."))
        inner = len(state[f"{prefix}layers.0.0.to_q.weight"])
        wide = len(state[f"{prefix}layers.0.1.0.weight"])
        self.latents = nn.Parameter(torch.zeros(count, width))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Cross(width, inner),
                    nn.Sequential(nn.Linear(width, wide), _Gated(), nn.Linear(wide // 2, width)),
                ]
            )
            for _ in range(depth)
        )
        self.norm = _Length(width)

    def forward(self, frames: Tensor) -> Tensor:
        latents = self.latents.expand(len(frames), -1, -1)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            cross, feed = layer
            latents = cross(latents, frames) + latents
            latents = feed(latents) + latents
        return self.norm(latents)


class _Cross(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, latents: Tensor, frames: Tensor) -> Tensor:
        rows = self.to_q(latents), *self.to_kv(torch.cat([latents, frames], 1)).chunk(2, -1)
        query, key, value = (x.unflatten(-1, (-1, _HEAD)).transpose(1, 2) for x in rows)
        found = scaled_dot_product_attention(query, key, value)
        return self.to_out(found.transpose(1, 2).flatten(2))


class _Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, -1)
        return gelu(gate) * value


class _Length(nn.Module):
    """Rows of one length, each number times its own factor."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.gamma
