"""Gradient ascent: the generator is trained away from its own samples of what is redacted."""

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


class GradientAscent(GeneratorMethod):
    """Gradient ascent with replay: trains the generator away from its own samples of what is redacted: a baseline.

    Thudi et al., "Unrolling SGD" (EuroS&P 2022, arXiv 2109.13398), with replay: the baseline of forgetting.

    With ``l`` the generator's training loss ::

        L = -forget_weight E[min(l(x | redacted), bound)] + replay_weight E[l(x | retained)]

    on samples ``x`` that the untouched model drew for these very conditions.

    Known traps: a loss has no upper bound, so that plain ascent ends in noise for everything; ``bound`` stops a sample's
    ascent, and replay holds the rest. Stop early: what the model draws instead is not chosen.

    Args:
        forget_weight: Of redacted samples.
        replay_weight: Of retained samples; 0 leaves them out.
        bound: Loss at which a redacted sample is left alone, in multiples of its mean loss before.
        samples: Drawn of redacted conditions.
        replays: Drawn of retained ones.
        parameters: Train only those whose name this regular expression is found in; default: all.
        learning_rate: Peak learning rate.

    Raises:
        RedactError: A setting is out of range; on preparing, the generator cannot be saved.
    """

    scope = (
        "The generator of this folder was changed, its conditioning path was not. Putting the generator's stock file "
        "back brings the redacted conditions back, and so "
        "may training it again, and conditions that somebody learns from samples of what was redacted."
    )
    before: Tensor

    def __init__(
        self,
        forget_weight: float = 1.0,
        replay_weight: float = 1.0,
        bound: float = 5.0,
        samples: int = 128,
        replays: int = 512,
        parameters: str = "",
        learning_rate: float = 1e-5,
    ):
        super().__init__(parameters)
        for name, value in {"forget_weight": forget_weight, "replay_weight": replay_weight}.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        if not 1 < bound < float("inf"):
            raise RedactError(f"bound is {bound}; give a finite number above 1.")
        if min(samples, replays) < 1:
            raise RedactError(f"samples is {samples} and replays {replays}; give at least 1 of each.")
        self.forget_weight, self.replay_weight, self.bound = forget_weight, replay_weight, bound
        self.samples, self.replays, self.learning_rate = samples, replays, learning_rate
        # in the checkpoint: the bound is that of the untouched model
        self.register_buffer("before", torch.zeros(()))

    @torch.no_grad()
    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> ReplayRows:
        """Samples of redacted and retained conditions, drawn with the teacher's weights.

        Raises:
            RedactError: Nothing is retained, and ``replay_weight`` is not 0.
        """
        gone, kept = ([row for row in lessons if row.redacted is flag] for flag in (True, False))
        if self.replay_weight and not kept:
            raise RedactError("No lesson is retained; retain some, or set replay_weight to 0.")
        adapter.encoder.to(next(teacher.parameters()).device)
        chosen = draw(gone, self.samples, seed)
        chosen += draw(kept, self.replays, seed + 1) if self.replay_weight else []
        group = torch.arange(len(chosen)) < self.samples
        trained = require(adapter, HasTrainingLoss, type(self).__name__)
        with swapped_weights(trained.generator, teacher):
            conditioning, samples, made = own_samples(adapter, chosen, seed)
            rows = _Rows(trained, conditioning, samples, group, made)
            self.before.fill_(rows.measure(trained.generator)["forgotten loss"])
        return rows

    def forward(self, student: nn.Module, batch: ReplayBatch) -> dict[str, Tensor]:
        """``forget``, which falls as the loss of redacted samples rises, and ``replay``."""
        assert self._trained is not None, "prepare() comes first"
        loss = self._trained.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds)
        bounded = loss.clamp(max=self.bound * self.before.to(loss))
        terms = {"forget": -self.forget_weight * group_mean(bounded, batch.redacted, batch.weight)}
        if self.replay_weight:
            terms["replay"] = self.replay_weight * group_mean(loss, ~batch.redacted, batch.weight)
        return terms


class _Rows(ReplayRows):
    """What is redacted shall have a greater loss, not a smaller one."""

    def measure(self, student: nn.Module, limit: int = 256) -> dict[str, float]:
        """``forgotten loss`` and ``replay loss``."""
        found = super().measure(student, limit)
        return {"forgotten loss": found["surrogate loss"], "replay loss": found["replay loss"]}
