"""Plain fine-tuning on what is retained: the baseline that hopes that the rest is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.errors import RedactError
from redact_core.objectives._parts.generator_method import GeneratorMethod
from redact_core.objectives._parts.replay import ReplayBatch, ReplayRows, draw, own_samples, swapped_weights
from redact_core.objectives.distances import group_mean
from redact_core.types import Lesson


class FineTuning(GeneratorMethod):
    """Plain fine-tuning of the generator on what is retained, hoping that the rest is forgotten: a baseline.

    The baseline of Golatkar et al., "Eternal Sunshine of the Spotless Net" (CVPR 2020, arXiv 1911.04933, "fine-tune").

    The generator's own training loss on samples of retained conditions, and nothing else: it forgets what it is not shown,
    if it does.

    Known traps: samples that the model itself drew teach it little that it does not know, so that almost nothing
    moves; the baseline of papers takes real data. A high learning rate forgets, and forgets everything.

    Args:
        samples: Drawn of retained conditions.
        parameters: Train only those whose name this regular expression is found in; default: all.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A setting is out of range; on preparing, the generator cannot be saved.
    """

    scope = (
        "The generator of this folder was changed, its conditioning path was not. Putting the generator's stock file "
        "back brings the redacted conditions back."
    )

    def __init__(self, samples: int = 512, parameters: str = "", learning_rate: float = 1e-4):
        super().__init__(parameters)
        if samples < 1:
            raise RedactError(f"samples is {samples}; give at least 1.")
        self.samples, self.learning_rate = samples, learning_rate

    @torch.no_grad()
    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> ReplayRows:
        """Samples drawn with the teacher's weights.

        Raises:
            RedactError: Nothing is retained.
        """
        kept = [row for row in lessons if not row.redacted]
        if not kept:
            raise RedactError("No lesson is retained, so there is nothing to train on; retain some.")
        adapter.encoder.to(next(teacher.parameters()).device)
        chosen = draw(kept, self.samples, seed)
        trained = require(adapter, HasTrainingLoss, type(self).__name__)
        with swapped_weights(trained.generator, teacher):
            conditioning, samples, made = own_samples(adapter, chosen, seed)
        return _Rows(trained, conditioning, samples, torch.zeros(len(chosen), dtype=torch.bool), made)

    def forward(self, student: nn.Module, batch: ReplayBatch) -> dict[str, Tensor]:
        """``retain``: the weighted mean of the training loss."""
        assert self._trained is not None, "prepare() comes first"
        loss = self._trained.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds)
        return {"retain": group_mean(loss, ~batch.redacted, batch.weight)}


class _Rows(ReplayRows):
    """There is nothing redacted to measure."""

    def measure(self, student: nn.Module, limit: int = 256) -> dict[str, float]:
        """``replay loss``."""
        return {"replay loss": super().measure(student, limit)["replay loss"]}
