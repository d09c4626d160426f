"""Noisy latents with what a denoiser shall say of them: the rows of methods that train a denoiser on its own words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from redact_core.adapters.generator_parts import HasDenoiser
from redact_core.objectives._parts.replay import swapped_weights
from redact_core.objectives._parts.spread_rows import spread_rows
from redact_core.objectives.distances import group_mean
from redact_core.types import Conditioning

Predict = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""Latents, times ``(batch,)`` and conditioning -> what the denoiser says."""
_CHUNK = 32


@dataclass(frozen=True)
class DenoiserBatch:
    """Rows for one step."""

    latents: Tensor  # (batch, channels, height, width)
    times: Tensor  # (batch,)
    conditioning: Conditioning
    target: Tensor  # as latents
    redacted: Tensor  # (batch,) bool
    weight: Tensor  # (batch,) float

    def to(self, device: torch.device | str) -> DenoiserBatch:
        """The same rows on ``device``."""
        latents, times, target = (x.to(device) for x in (self.latents, self.times, self.target))
        redacted, weight = self.redacted.to(device), self.weight.to(device)
        return DenoiserBatch(latents, times, self.conditioning.to(device), target, redacted, weight)

    def __len__(self) -> int:
        return len(self.weight)


class DenoiserRows:
    """Rows on the CPU, the same in every pass.

    Args:
        generator: The denoiser that is trained.
        predict: What asks it.
        latents: ``(rows, channels, height, width)``.
        times: ``(rows,)``.
        conditioning: One for each row.
        target: As ``latents``.
        redacted: ``(rows,)`` bool.
    """

    def __init__(
        self,
        generator: nn.Module,
        predict: Predict,
        latents: Tensor,
        times: Tensor,
        conditioning: Conditioning,
        target: Tensor,
        redacted: Tensor,
    ):
        self._generator, self._predict = generator, predict
        self.latents, self.times, self.target = latents.cpu(), times.cpu(), target.cpu()
        self.conditioning, self.redacted = conditioning.to("cpu"), redacted
        self.weight = torch.ones(len(redacted))

    def __len__(self) -> int:
        return len(self.weight)

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> DenoiserBatch:
        """The rows ``rows`` (int64); ``weight`` replaces their own."""
        del turn
        own = self.weight[rows] if weight is None else weight
        return DenoiserBatch(
            self.latents[rows],
            self.times[rows],
            self.conditioning[rows],
            self.target[rows],
            self.redacted[rows],
            own,
        )

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = 128) -> dict[str, float]:
        """Mean squared distance of what the denoiser says from the targets, over at most ``limit`` rows."""
        rows = spread_rows(len(self), limit)
        device = next(self._generator.parameters()).device
        with nullcontext() if student is self._generator else swapped_weights(self._generator, student):
            parts = [self.batch(part).to(device) for part in rows.split(_CHUNK)]
            found = torch.cat([row_distances(self._predict, part) for part in parts]).cpu()
        return mean_distances(found, self.redacted[rows])


def mean_distances(found: Tensor, redacted: Tensor) -> dict[str, float]:
    """``redact distance`` and ``retain distance``, each where there are such rows.

    Args:
        found: ``(rows,)`` distances.
        redacted: ``(rows,)`` bool.
    """
    groups = {"redact distance": redacted, "retain distance": ~redacted}
    return {name: group_mean(found, group).item() for name, group in groups.items() if bool(group.any())}


def row_distances(predict: Predict, batch: DenoiserBatch) -> Tensor:
    """``(batch,)`` mean squared distance of what the denoiser says from the target."""
    found = predict(batch.latents, batch.times, batch.conditioning)
    return (found - batch.target).square().flatten(1).mean(1)


@torch.no_grad()
def in_parts(predict: Predict, latents: Tensor, times: Tensor, conditioning: Conditioning) -> Tensor:
    """What the denoiser says of many rows, some at a time."""
    parts = zip(latents.split(_CHUNK), times.split(_CHUNK), range(0, len(times), _CHUNK), strict=True)
    return torch.cat([predict(x, t, conditioning[i : i + _CHUNK]) for x, t, i in parts])


def half_finished(
    denoiser: HasDenoiser, conditioning: Conditioning, seed: int, steps: int, guidance: float
) -> tuple[Tensor, Tensor]:
    """Latents of drawings of ``conditioning`` that were left after a number of ``steps`` drawn with ``seed``, and the times."""
    count = len(conditioning)
    stops = torch.randint(steps, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    seeds = range(seed * 1_000_003, seed * 1_000_003 + count)
    return denoiser.half_drawn(conditioning, seeds=seeds, stops=stops, steps=steps, guidance=guidance)


def without_condition(denoiser: HasDenoiser, latents: Tensor, times: Tensor) -> Tensor:
    """What the denoiser says of ``latents`` where nothing is asked for."""
    nothing = denoiser.unconditional()
    every = torch.zeros(len(times), dtype=torch.int64, device=nothing.hidden.device)
    return in_parts(denoiser.predict, latents, times, nothing[every])
