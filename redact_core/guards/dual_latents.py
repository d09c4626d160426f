"""Arithmetic of dual latent reconstruction: two streams of latents and their weighted sum; torch only.

After Vice, Akhtar, Shah, Hartley and Mian, "Safety without semantic disruptions" (arXiv 2411.13982),
who describe a safety-context embedding, two reconstructions, a tunable weighted sum in latent space
and a global-context threshold. Their equations were not at hand: the definitions here are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from redact_core.errors import RedactError

Lead = Literal["both", "user", "safe"]
Schedule = Literal["constant", "ramp"]


@dataclass(frozen=True)
class Mixing:
    """How two streams become one.

    Raises:
        RedactError: A number is not within [0, 1].
    """

    weight: float
    """Of the safe stream, in [0, 1]: 0 is the user's prompt alone, 1 the safe stream alone."""
    threshold: float
    """Share of the steps, in [0, 1], before the streams are summed: the picture's layout is settled then."""
    lead: Lead
    """Before the threshold: each stream goes its own way (``both``), or both are at the latents of one."""
    coupled: bool
    """After the threshold the safe stream goes on from the sum as well, not from its own latents."""
    schedule: Schedule
    """The weight after the threshold: the same at every step, or rising to it in equal steps."""
    keep_variance: bool
    """Divide the sum by what it loses of the streams' standard deviation."""

    def __post_init__(self) -> None:
        for name in ("weight", "threshold"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise RedactError(f"The {name} of the safe stream is {value}; give 0 to 1.")

    def step(self, user: Tensor, safe: Tensor, index: int, steps: int) -> tuple[Tensor, Tensor]:
        """Both streams after the denoising step ``index`` of ``steps``, counted from 0.

        Args:
            user: ``(batch, ...)`` latents of the user's prompt.
            safe: Latents of the safety context, of the same shape.
            index: From 0 to ``steps - 1``.
            steps: Of the whole run.
        """
        first = self.threshold * steps
        if index < first:
            return {"both": (user, safe), "user": (user, user), "safe": (safe, safe)}[self.lead]
        weight = self.weight
        if self.schedule == "ramp":
            weight *= (index + 1 - first) / (steps - first)
        mixed = weighted_sum(user, safe, weight, self.keep_variance)
        return mixed, mixed if self.coupled else safe


def weighted_sum(user: Tensor, safe: Tensor, weight: float, keep_variance: bool = False) -> Tensor:
    """``(1 - weight) user + weight safe``; exact at both ends.

    The sum of two streams that are correlated by ``rho < 1`` varies less than either, which the
    denoiser takes for a cleaner picture. ``keep_variance`` divides by
    ``sqrt(w^2 + (1 - w)^2 + 2 w (1 - w) rho)`` with ``rho`` measured for each sample.

    Args:
        user: ``(batch, ...)``.
        safe: Of the same shape.
        weight: In [0, 1].
        keep_variance: See above.
    """
    if weight in (0, 1):
        return safe if weight else user
    mixed = (1 - weight) * user + weight * safe
    if not keep_variance:
        return mixed
    centred = [x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (user, safe)]
    rho = torch.cosine_similarity(*centred, dim=1)
    shrunk = (weight**2 + (1 - weight) ** 2 + 2 * weight * (1 - weight) * rho).clamp(min=1e-6).sqrt()
    return mixed / shrunk.view(-1, *[1] * (mixed.dim() - 1))


def removal_balance(removed: float, kept: float) -> float:
    """Our index of safety against censorship: the harmonic mean of two shares in [0, 1].

    It is 1 where all that should go is gone and all that should stay is there, and 0 where either
    fails entirely. It is not the index of the paper, whose formula we could not read.

    Args:
        removed: ``1 - leak with the guard / leak without it``.
        kept: What stays of the retained conditions, relative to the base.

    >>> round(removal_balance(1.0, 0.5), 3), removal_balance(0.0, 1.0)
    (0.667, 0.0)
    """
    removed, kept = (min(1.0, max(0.0, share)) for share in (removed, kept))
    return 2 * removed * kept / (removed + kept) if removed + kept else 0.0
