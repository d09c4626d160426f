"""Concept ablation: the denoiser answers a concept as it answers the anchor, on pictures of the anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import require
from redact_core.adapters.generator_parts import HasDenoiser, generator_of
from redact_core.errors import RedactError
from redact_core.objectives._parts.chosen_parameters import expression
from redact_core.objectives._parts.denoiser_method import DenoiserMethod
from redact_core.objectives._parts.denoiser_rows import DenoiserBatch, DenoiserRows, in_parts, row_distances
from redact_core.objectives._parts.replay import draw, encode, swapped_weights
from redact_core.objectives.distances import group_mean
from redact_core.types import Lesson


class ConceptAblation(DenoiserMethod):
    """Concept ablation: trains the denoiser to answer a concept as it answers an anchor, on pictures of the anchor.

    Kumari et al., "Ablating Concepts in Text-to-Image Diffusion Models" (ICCV 2023, arXiv 2303.13516), eq. 5.

    With ``x_t`` a picture of the anchor with noise, ``c*`` a prompt with the concept and ``c`` the same prompt with
    the anchor, here the lesson's reference::

        model-based:  L = |e(x_t, t, c*) - e0(x_t, t, c)|^2
        noise-based:  L = |e(x_t, t, c*) - noise|^2     (eq. 7)

    and ``retain_weight`` times the same distance on retained prompts, which stands for the authors' training loss on
    pictures of the anchor. The model-based variant is the authors' default.

    Known traps: the authors take the target from the network in training without gradients; here it is the
    untouched one, which is the same in the first step and does not drift. Prompts must differ in the concept alone, else
    the wording is ablated too. The anchor itself must be among what is retained, or it moves.

    Args:
        variant: ``model`` or ``noise``.
        parameters: Train only those whose name this regular expression is found in; default: keys and values of
            the layers that read the conditioning, as the authors have it.
        samples: Pictures of the anchor.
        retained: Pictures of retained prompts.
        retain_weight: Of these; 0 leaves them out.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A number is out of range, or the expression is none; on preparing, the model has no denoiser.
    """

    def __init__(
        self,
        variant: Literal["model", "noise"] = "model",
        parameters: str = r"attn2\.to_[kv]",
        samples: int = 200,
        retained: int = 200,
        retain_weight: float = 1.0,
        learning_rate: float = 2e-6,
    ):
        super().__init__()
        if variant not in ("model", "noise"):
            raise RedactError(f"variant is {variant!r}; give model or noise.")
        if not 0 <= retain_weight < float("inf"):
            raise RedactError(f"retain_weight is {retain_weight}; give a finite number of at least 0.")
        if min(samples, retained) < 1:
            raise RedactError(f"samples is {samples} and retained {retained}; give at least 1 of each.")
        self._wanted = expression(parameters)
        self.variant, self.parameters_filter = variant, parameters
        self.samples, self.retained, self.retain_weight = samples, retained, retain_weight
        self.learning_rate = learning_rate

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The denoiser, with gradients for the chosen parameters.

        Raises:
            RedactError: The model has none, or no parameter is chosen.
        """
        return self.prepare_where(adapter, self._wanted.search, f"parameters is {self.parameters_filter!r}")

    @torch.no_grad()
    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> DenoiserRows:
        """Pictures with noise and the teacher's words of them.

        Raises:
            RedactError: Nothing is retained, and ``retain_weight`` is not 0.
        """
        denoiser = require(adapter, HasDenoiser, type(self).__name__)
        adapter.encoder.to(next(teacher.parameters()).device)
        gone, kept = ([row for row in lessons if row.redacted is flag] for flag in (True, False))
        if self.retain_weight and not kept:
            raise RedactError("No lesson is retained; retain some, or set retain_weight to 0.")
        chosen = draw(gone, self.samples, seed)
        chosen += draw(kept, self.retained, seed + 1) if self.retain_weight else []
        first = seed * 1_000_003
        seeds = range(first, first + len(chosen))
        conditioning = encode(adapter, [row.asked for row in chosen])
        anchors = encode(adapter, [row.answer for row in chosen])
        with swapped_weights(generator_of(adapter, type(self).__name__), teacher):
            pictures = adapter.generate(anchors, seeds=seeds)
            latents, times = denoiser.noised(pictures, seeds=seeds)
            if self.variant == "model":
                target = in_parts(denoiser.predict, latents, times, anchors)
            else:
                target = denoiser.noise_target(pictures, seeds=seeds)
        group = torch.tensor([row.redacted for row in chosen])
        return DenoiserRows(
            generator_of(adapter, type(self).__name__),
            denoiser.predict,
            latents,
            times,
            conditioning,
            target,
            group,
        )

    def forward(self, student: nn.Module, batch: DenoiserBatch) -> dict[str, Tensor]:
        """``redact`` and ``retain``: mean squared distances from the targets."""
        assert self._denoiser is not None, "prepare() comes first"
        found = row_distances(self._denoiser.predict, batch)
        terms = {"redact": group_mean(found, batch.redacted, batch.weight)}
        if self.retain_weight:
            terms["retain"] = self.retain_weight * group_mean(found, ~batch.redacted, batch.weight)
        return terms
