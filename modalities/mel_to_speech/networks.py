"""A small DiffWave vocoder: the conditioning network that reads the mel, and the network that removes noise.

Kong et al. 2021, "DiffWave: A Versatile Diffusion Model for Audio Synthesis" (arXiv 2009.09761), written
plainly: no library ships it. Departures, all to train in minutes on a processor: the residual layers see
``fold`` samples at a time; the upsamplers stop short of that rate and their output is held; the network
is trained at the noise levels of the fast schedule only; its inputs and outputs are scaled as by Karras
et al. 2022 (arXiv 2206.00364).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from redact_core import Conditioning

MARGIN = 2
"""Frames on either side of a window that its features may depend on: the reach of the upsamplers."""


class LayerConditioner(nn.Module):
    """What one residual layer reads of the mel: transposed convolutions over (band, time), then 1x1.

    Args:
        bands: Of the mel.
        width: Of the output.
        factors: By which each transposed convolution makes time finer; even numbers.
    """

    def __init__(self, bands: int, width: int, factors: Sequence[int]):
        super().__init__()
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(1, 1, (3, 2 * f), stride=(1, f), padding=(1, f // 2)) for f in factors
        )
        self.project = nn.Conv1d(bands, width, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """``(batch, bands, frames)`` -> ``(batch, width, frames * product of factors)``."""
        finer = mel.unsqueeze(1)
        for stage in self.upsample:
            finer = F.leaky_relu(stage(finer), 0.4)
        return self.project(finer.squeeze(1))


class MelConditioner(nn.Module):
    """Mels -> ``hidden (batch, positions, layers * width)``, what all layers read, side by side.

    Inputs: ``mel (batch, bands, frames)``, ``length (batch,)`` int64 frames that are no padding, and
    ``start (batch,)`` int64: -1 for all of the clip, or the first frame of a window. A frame has
    ``finer`` positions, the product of the factors.

    Args:
        layers: Residual layers that read the mel.
        bands: Of the mel.
        width: What each layer reads, twice its channels.
        factors: Of the upsamplers.
        window: Frames of a window.
    """

    def __init__(self, layers: int, bands: int, width: int, factors: Sequence[int], window: int):
        super().__init__()
        self.window, self.finer = window, math.prod(factors)
        self.layers = nn.ModuleList(LayerConditioner(bands, width, factors) for _ in range(layers))

    def forward(self, inputs: Mapping[str, Tensor]) -> Conditioning:
        mel, start = inputs["mel"], inputs["start"]
        if bool((start >= 0).all()):
            hidden = self.stretch(mel, start)
            return Conditioning(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))
        # row by row: a clip's answer has the same bits whatever is asked beside it
        hidden = torch.cat([self.features(row) for row in mel.split(1)])
        place = torch.arange(hidden.shape[1], device=hidden.device)
        return Conditioning(hidden, place < self.finer * inputs["length"][:, None])

    def features(self, mel: Tensor) -> Tensor:
        """``(batch, bands, frames)`` -> ``(batch, frames * finer, layers * width)``."""
        return torch.cat([layer(mel) for layer in self.layers], 1).transpose(1, 2)

    def stretch(self, mel: Tensor, start: Tensor) -> Tensor:
        """The same of ``window`` frames from ``start (batch,)`` on, as they are within the whole."""
        reach = torch.arange(-MARGIN, self.window + MARGIN, device=mel.device)
        at = (start[:, None] + reach)[:, None].expand(-1, mel.shape[1], -1)
        return self.features(mel.gather(2, at))[:, MARGIN * self.finer : -MARGIN * self.finer]


class ResidualLayer(nn.Module):
    """Dilated convolution, gated by tanh and sigmoid, with the step and the mel added (figure 2 of the paper)."""

    def __init__(self, channels: int, dilation: int, embedding: int):
        super().__init__()
        self.step = nn.Linear(embedding, channels)
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, step: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """``x (batch, channels, length)``, ``heard (batch, 2 channels, positions)`` -> the same, and the skip."""
        y = self.dilated(x + self.step(step).unsqueeze(-1))
        held = y.view(*heard.shape, -1) + heard.unsqueeze(-1)  # each position is held
        a, b = held.view_as(y).chunk(2, 1)
        on, skip = self.out(a.tanh() * b.sigmoid()).chunk(2, 1)
        return (x + on) * math.sqrt(0.5), skip


class DiffWave(nn.Module):
    """Predicts the noise in a waveform from its level and what the conditioner says of the mel.

    Args:
        layers: Residual layers.
        channels: Of each.
        cycle: Layers after which the dilations 1, 2, 4, ... start again.
        fold: Samples that are one position of the layers.
        schedule: Variances beta of the diffusion steps, each in (0, 1).
        gain: The waveform is this much louder inside than outside.
        spread: Standard deviation of the waveform inside, for the scaling.
        embedding: Width of the step's embedding.
    """

    def __init__(
        self,
        layers: int,
        channels: int,
        cycle: int,
        fold: int,
        schedule: Sequence[float],
        gain: float = 2.0,
        spread: float = 0.2,
        embedding: int = 64,
    ):
        super().__init__()
        self.fold, self.gain, self.spread = fold, gain, spread
        self.beta = torch.tensor(list(schedule), dtype=torch.float64)
        self.signal = (1 - self.beta).cumprod(0)  # abar of the paper, (steps,)
        self.embedding = nn.Embedding(len(self.beta), embedding)
        self.mix = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU())
        self.first = nn.Conv1d(fold, channels, 1)
        self.layers = nn.ModuleList(
            ResidualLayer(channels, 2 ** (i % cycle), embedding) for i in range(layers)
        )
        self.skip = nn.Conv1d(channels, channels, 1)
        self.last = nn.Conv1d(channels, fold, 1)
        nn.init.zeros_(self.last.weight)

    def forward(self, noisy: Tensor, step: Tensor, hidden: Tensor) -> Tensor:
        """``noisy (batch, samples)``, ``step (batch,)``, ``hidden (batch, positions, dim)`` -> noise ``(batch, samples)``."""
        signal = self.signal.to(noisy)[step][:, None]
        variance = signal * self.spread**2 + 1 - signal  # of the noisy waveform
        folded = (noisy / variance.sqrt()).view(len(noisy), -1, self.fold).transpose(1, 2)
        x, embedded = F.relu(self.first(folded)), self.mix(self.embedding(step))
        total = torch.zeros_like(x)
        for layer, heard in zip(self.layers, hidden.transpose(1, 2).chunk(len(self.layers), 1), strict=True):
            x, skip = layer(x, embedded, heard)
            total = total + skip
        y = self.last(F.relu(self.skip(total / math.sqrt(len(self.layers))))).transpose(1, 2).flatten(1)
        # what no mel is needed for, the best linear estimate, and what the network adds to it
        return (1 - signal).sqrt() / variance * noisy - self._scale(signal) * y

    def _scale(self, signal: Tensor) -> Tensor:
        """Standard deviation of the noise that the best linear estimate leaves unknown."""
        return (signal * self.spread**2 / (signal * self.spread**2 + 1 - signal)).sqrt()

    def loss(self, wave: Tensor, hidden: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """``(batch,)`` mean absolute error of the noise for ``wave (batch, samples)``, in units of :meth:`_scale`."""
        signal = self.signal.to(wave)[step][:, None]
        noisy = signal.sqrt() * self.gain * wave + (1 - signal).sqrt() * noise
        return ((self(noisy, step, hidden) - noise) / self._scale(signal)).abs().mean(1)

    @torch.no_grad()
    def draw(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """``(batch, samples)`` in [-1, 1] by the ancestral sampler (algorithm 2 of the paper).

        Args:
            hidden: ``(batch, positions, dim)``.
            noise: ``(steps, batch, samples)`` standard normal; the last of it starts, the rest is added.
        """
        beta, signal = self.beta.tolist(), self.signal.tolist()
        # the forward process of a short schedule ends at this variance, not at 1
        x = math.sqrt(1 - signal[-1]) * noise[-1]
        for t in reversed(range(len(beta))):
            step = torch.full((len(x),), t, device=x.device)
            x = (x - beta[t] / math.sqrt(1 - signal[t]) * self(x, step, hidden)) / math.sqrt(1 - beta[t])
            if t:
                x = x + math.sqrt(beta[t] * (1 - signal[t - 1]) / (1 - signal[t])) * noise[t - 1]
        return torch.nan_to_num(x / self.gain).clamp(-1, 1)
