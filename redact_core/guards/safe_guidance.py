"""The arithmetic of Safe Latent Diffusion (Schramowski et al. 2023, arXiv 2211.05105): torch only.

Equation numbers are those of the authors' code. ``e_u``, ``e_p``, ``e_s`` are the denoiser's answers
to the empty prompt, the user's prompt and a safety concept. Where the paper typesets a maximum in
the scale of equation (6), both published implementations take a minimum; so do we.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from redact_core.errors import RedactError
from redact_core.support.whole_numbers import WholeNumbers


@dataclass(frozen=True)
class SafetyGuidance(WholeNumbers):
    """The five numbers of Safe Latent Diffusion.

    Raises:
        RedactError: One is out of its range; all are named.
    """

    warmup: int
    """delta: steps at the beginning that are not steered; momentum is built during them."""
    scale: float
    """s_S, at least 0: how soon the difference of prompt and concept counts in full; 0 steers nothing."""
    threshold: float
    """lambda: elements where prompt and concept differ by more, with sign, are left alone."""
    momentum: float
    """s_m, at least 0: how much of the past is added."""
    decay: float
    """beta_m, from 0 to 1: how long the past is remembered."""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value} (wanted: {wanted})"
            for name, value, wanted, good in (
                ("warmup", self.warmup, "0 or more", self.warmup >= 0),
                ("scale", self.scale, "0 or more", self.scale >= 0),
                ("momentum", self.momentum, "0 or more", self.momentum >= 0),
                ("decay", self.decay, "0 to 1", 0 <= self.decay <= 1),
            )
            if not good
        ]
        if wrong:
            raise RedactError(f"The safety guidance cannot be used: {'; '.join(wrong)}.")


PRESETS = {
    "weak": SafetyGuidance(15, 20.0, 0.0, 0.0, 0.0),
    "medium": SafetyGuidance(10, 1000.0, 0.01, 0.3, 0.4),
    "strong": SafetyGuidance(7, 2000.0, 0.025, 0.5, 0.7),
    "max": SafetyGuidance(0, 5000.0, 1.0, 0.5, 0.7),
}
"""The published settings (diffusers' ``SafetyConfig``); their warm-ups are meant for 50 steps."""


def safety_term(
    e_u: Tensor, e_p: Tensor, e_s: Sequence[Tensor], past: Tensor, settings: SafetyGuidance
) -> tuple[Tensor, Tensor]:
    """gamma_t, which guidance subtracts, and the momentum of the next step: equations (4) and (6) to (8).

    Several concepts steer by the sum of their terms; the momentum, being linear, is kept of the sum.

    Args:
        e_u: ``(batch, ...)`` answer to the empty prompt; the others have the same shape.
        e_p: Answer to the user's prompt.
        e_s: Answers to the safety concepts, at least one.
        past: nu_t, zeros at the first step.
        settings: Its ``warmup`` is the caller's business: momentum is built during it too.
    """
    gamma = settings.momentum * past
    for concept in e_s:
        difference = e_p - concept
        weight = (settings.scale * difference.abs()).clamp(max=1)  # (6)
        weight = torch.where(difference >= settings.threshold, torch.zeros_like(weight), weight)
        gamma = gamma + weight * (concept - e_u)  # (4) and (7)
    return gamma, settings.decay * past + (1 - settings.decay) * gamma  # (8)


def guided(e_u: Tensor, e_p: Tensor, gamma: Tensor | float, guidance: float) -> Tensor:
    """Equation (3): classifier-free guidance with the safety term subtracted."""
    return e_u + guidance * ((e_p - e_u) - gamma)
