"""Erased Stable Diffusion: the denoiser learns to lead away from a concept by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import require
from redact_core.adapters.generator_parts import HasDenoiser, generator_of
from redact_core.errors import RedactError
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives._parts.denoiser_method import DenoiserMethod
from redact_core.objectives._parts.denoiser_rows import (
    DenoiserBatch,
    DenoiserRows,
    half_finished,
    in_parts,
    row_distances,
    without_condition,
)
from redact_core.objectives._parts.replay import draw, encode, swapped_weights
from redact_core.objectives.distances import group_mean
from redact_core.types import Conditioning, Lesson


class ESD(DenoiserMethod):
    """Erased Stable Diffusion: trains the denoiser to lead away from a concept by itself.

    Gandikota et al., "Erasing Concepts from Diffusion Models" (ICCV 2023, arXiv 2303.07345), eq. 7.

    With ``e`` the denoiser, ``e0`` the untouched one, ``c`` a redacted name and ``z`` a drawing of it that ``e0`` has
    half finished::

        L = |e(z, t, c) - [e0(z, t, c) - strength (e0(z, t, c) - e0(z, t, nothing))]|^2

    Variant ``x`` trains the layers that read the conditioning, ``u`` all others, ``full`` both. Nothing retained
    is trained on, and there is no reference: what is drawn instead is not chosen. Latents and targets are computed
    once, ``samples`` of them; the authors draw a new one each step.

    Known traps: the formula holds for whatever the denoiser predicts, noise or velocity, for it is linear. The paper's
    strength counts from ``e0(z, t, nothing)``, the authors' code of 2025 from ``e0(z, t, c)`` as here: 1 there is 2
    here. The latents come from the untouched denoiser, not from the one in training. Neighbours suffer.

    Args:
        variant: ``x``, ``u`` or ``full``.
        strength: eta; at 1 the concept gets what is drawn without a prompt, above 1 its opposite.
        samples: Half-finished drawings.
        roll_steps: Of a whole drawing.
        roll_guidance: Scale of classifier-free guidance while drawing them.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A number is out of range; on preparing, the model has no such denoiser.
    """

    def __init__(
        self,
        variant: Literal["x", "u", "full"] = "x",
        strength: float = 2.0,
        samples: int = 200,
        roll_steps: int = 50,
        roll_guidance: float = 3.0,
        learning_rate: float = 5e-5,
    ):
        super().__init__()
        if variant not in ("x", "u", "full"):
            raise RedactError(f"variant is {variant!r}; give x, u or full.")
        for name, value in {"strength": strength, "roll_guidance": roll_guidance}.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        if min(samples, roll_steps) < 1:
            raise RedactError(f"samples is {samples} and roll_steps {roll_steps}; give at least 1 of each.")
        self.variant, self.strength, self.samples = variant, strength, samples
        self.roll_steps, self.roll_guidance, self.learning_rate = roll_steps, roll_guidance, learning_rate

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The denoiser, with gradients for the variant's parameters.

        Raises:
            RedactError: The model has none.
        """
        reads = require(adapter, HasDenoiser, type(self).__name__).reads_conditioning
        wanted = {"x": reads, "u": lambda name: not reads(name), "full": lambda _: True}[self.variant]
        return self.prepare_where(adapter, wanted, f"variant is {self.variant}")

    @torch.no_grad()
    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> DenoiserRows:
        """Half-finished drawings of the redacted names, with the targets, by the teacher's weights."""
        denoiser = require(adapter, HasDenoiser, type(self).__name__)
        adapter.encoder.to(next(teacher.parameters()).device)
        gone, _ = bare_rows(lessons)
        asked = [row.asked for row in draw(gone, self.samples, seed)]
        conditioning = encode(adapter, asked)
        with swapped_weights(generator_of(adapter, type(self).__name__), teacher):
            latents, times = half_finished(denoiser, conditioning, seed, self.roll_steps, self.roll_guidance)
            target = self.target(denoiser, latents, times, conditioning)
        rows = torch.ones(self.samples, dtype=torch.bool)
        return DenoiserRows(
            generator_of(adapter, type(self).__name__),
            denoiser.predict,
            latents,
            times,
            conditioning,
            target,
            rows,
        )

    def target(
        self, denoiser: HasDenoiser, latents: Tensor, times: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """``e0(c) - strength (e0(c) - e0(nothing))``, as ``latents``."""
        asked = in_parts(denoiser.predict, latents, times, conditioning)
        if self.strength == 0:
            return asked
        return asked - self.strength * (asked - without_condition(denoiser, latents, times))

    def forward(self, student: nn.Module, batch: DenoiserBatch) -> dict[str, Tensor]:
        """``redact``: the mean squared distance from the targets."""
        assert self._denoiser is not None, "prepare() comes first"
        found = row_distances(self._denoiser.predict, batch)
        return {"redact": group_mean(found, batch.redacted, batch.weight)}
