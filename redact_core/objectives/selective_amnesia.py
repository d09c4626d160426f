"""Selective Amnesia: the generator itself forgets, held by its Fisher information and by replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.errors import RedactError
from redact_core.objectives._parts.fisher import FisherSettings, diagonal_fisher, load_fisher, save_fisher
from redact_core.objectives._parts.generator_method import GeneratorMethod
from redact_core.objectives._parts.replay import (
    ReplayBatch,
    ReplayRows,
    draw,
    encode,
    noise_like,
    swapped_weights,
)
from redact_core.objectives.distances import group_mean
from redact_core.support.paths import at_home
from redact_core.types import Conditioning, Lesson


class SelectiveAmnesia(GeneratorMethod):
    """Selective Amnesia: trains the generator to give samples of a surrogate, and holds the rest by replay and Fisher information.

    Heng & Soh, "Selective Amnesia" (NeurIPS 2023, arXiv 2305.10120), over any training loss.

    With ``l`` the generator's training loss (a negative evidence lower bound, or the error of a
    denoiser) and ``theta*`` its weights as they were::

        L = forget_weight * E_{x ~ q}[l(x | redacted)] + replay_weight * E_{x ~ theta*}[l(x | retained)]
            + ewc_weight * sum_i F_i (theta_i - theta*_i)^2

    ``q`` is what a redacted condition shall give instead, never the true samples; ``F`` is the
    diagonal Fisher information at ``theta*``. As in the authors' code there is no 1/2 before the last
    term. No training data are needed: all samples come from the generator as it was. The encoder is
    neither trained nor changed, and conditions are never dropped.

    Args:
        surrogate: ``q``: samples of the lesson's ``reference``, or uniform ``noise``.
        forget_weight: Of the surrogates.
        replay_weight: Of the replayed samples; 0 leaves them out.
        ewc_weight: Of the elastic weight consolidation; 0 leaves it out, and the Fisher with it. It
            grows with the loss: a sum over 784 pixels and a mean over time steps differ by far.
        parameters: Train only those whose name this regular expression is found in; default: all.
        surrogates: Samples drawn from ``q``.
        replays: Samples drawn of retained conditions.
        fisher_samples: Samples, of all conditions asked, that the Fisher information is a mean over.
        fisher_times: Time steps visited of each, evenly spaced; default all. Fewer are an
            approximation, which the card shows.
        fisher: File (safetensors) that keeps the Fisher information: read if it is there, else written.
        learning_rate: Peak learning rate that suits generators.

    Raises:
        RedactError: A number is out of range, or the expression is none or matches no parameter.
    """

    scope = (
        "The generator of this folder was changed, its conditioning path was not. Another encoder does "
        "not bring the redacted conditions back; putting the generator's stock file back does, and so "
        "may training it again, and conditions that somebody learns from samples of what was redacted."
    )

    def __init__(
        self,
        surrogate: Literal["reference", "noise"] = "reference",
        forget_weight: float = 1.0,
        replay_weight: float = 1.0,
        ewc_weight: float = 100.0,
        parameters: str = "",
        surrogates: int = 512,
        replays: int = 512,
        fisher_samples: int = 256,
        fisher_times: int | None = None,
        fisher: Path | None = None,
        learning_rate: float = 1e-4,
    ):
        super().__init__(parameters)
        weights = {"forget_weight": forget_weight, "replay_weight": replay_weight, "ewc_weight": ewc_weight}
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        counts = {"surrogates": surrogates, "replays": replays, "fisher_samples": fisher_samples}
        counts |= {} if fisher_times is None else {"fisher_times": fisher_times}
        for name, count in counts.items():
            if count < 1:
                raise RedactError(f"{name} is {count}; give at least 1.")
        if surrogate not in ("reference", "noise"):
            raise RedactError(f"surrogate is {surrogate!r}; give reference or noise.")
        self.surrogate = surrogate
        self.forget_weight, self.replay_weight, self.ewc_weight = forget_weight, replay_weight, ewc_weight
        self.surrogates, self.replays = surrogates, replays
        self.fisher_samples, self.fisher_times = fisher_samples, fisher_times
        self.fisher = None if fisher is None else at_home(fisher)
        self.learning_rate = learning_rate
        self._anchors: dict[str, tuple[Tensor, Tensor]] = {}

    def prepare(self, adapter: Adapter) -> nn.Module:
        self._anchors = {}
        return super().prepare(adapter)

    def rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> ReplayRows:
        """Surrogates and replays drawn with the teacher's weights; computes or reads the Fisher.

        Raises:
            RedactError: Replay is wanted but nothing is retained, or the Fisher file does not fit.
        """
        device = next(teacher.parameters()).device
        adapter.encoder.to(device)
        trained = require(adapter, HasTrainingLoss, type(self).__name__)
        redacted = [lesson for lesson in lessons if lesson.redacted]
        kept = [lesson for lesson in lessons if not lesson.redacted]
        if self.replay_weight and not kept:
            raise RedactError(
                "No lesson is retained, so nothing can be replayed; retain some, or replay_weight 0."
            )
        gone = draw(redacted, self.surrogates, seed)
        stay = draw(kept, self.replays, seed + 1) if self.replay_weight else []
        first = seed * 1_000_003
        with swapped_weights(trained.generator, teacher):
            samples = self._surrogates(adapter, gone, first)
            if stay:
                conditioning = encode(adapter, [lesson.answer for lesson in stay])
                seeds = range(first + len(gone), first + len(gone) + len(stay))
                samples += adapter.generate(conditioning, seeds=seeds)
            if self.ewc_weight:
                fisher = self._fisher(adapter, lessons, seed)
                old = dict(trained.generator.named_parameters())
                self._anchors = {name: (old[name].detach().clone(), value) for name, value in fisher.items()}
        conditioning = encode(adapter, [lesson.asked for lesson in (*gone, *stay)]).to("cpu")
        group = torch.arange(len(samples)) < len(gone)
        made = range(first, first + len(samples))
        return ReplayRows(trained, conditioning, [sample.cpu() for sample in samples], group, made)

    def forward(self, student: nn.Module, batch: ReplayBatch) -> dict[str, Tensor]:
        """``forget`` and ``replay``: weighted group means of the training loss; ``ewc``: the penalty."""
        assert self._trained is not None, "prepare() comes first"
        loss = self._trained.training_loss(batch.conditioning, batch.samples, seeds=batch.seeds)
        terms = {"forget": self.forget_weight * group_mean(loss, batch.redacted, batch.weight)}
        if self.replay_weight:
            terms["replay"] = self.replay_weight * group_mean(loss, ~batch.redacted, batch.weight)
        if self._anchors:
            terms["ewc"] = self.ewc_weight * self.penalty(student)
        return terms

    def penalty(self, student: nn.Module) -> Tensor:
        """``()`` the sum of ``F_i (theta_i - theta*_i)^2`` over the chosen parameters."""
        found = dict(student.named_parameters())
        parts: list[Tensor] = []
        for name, (old, fisher) in self._anchors.items():
            now = found[name]
            if old.device != now.device:
                self._anchors[name] = old, fisher = old.to(now.device), fisher.to(now.device)
            parts.append((fisher * (now - old).square()).sum())
        return torch.stack(parts).sum()

    def _surrogates(self, adapter: Adapter, lessons: Sequence[Lesson], first: int) -> list[Tensor]:
        seeds = range(first, first + len(lessons))
        if self.surrogate == "noise":
            like = adapter.generate(encode(adapter, [lessons[0].asked]), seeds=[first])[0]
            return [noise_like(like, seed) for seed in seeds]
        return adapter.generate(encode(adapter, [lesson.answer for lesson in lessons]), seeds=seeds)

    def _fisher(self, adapter: Adapter, lessons: Sequence[Lesson], seed: int) -> dict[str, Tensor]:
        """Over all conditions asked, each as likely: what was redacted was learned too."""
        trained = require(adapter, HasTrainingLoss, type(self).__name__)
        generator = trained.generator
        chosen = {name: p for name, p in generator.named_parameters() if p.requires_grad}
        settings = FisherSettings(self.fisher_samples, self.fisher_times, seed)
        if self.fisher is not None and self.fisher.exists():
            return load_fisher(self.fisher, settings, generator, chosen)
        conditions = sorted({lesson.asked for lesson in lessons}, key=str)
        drawn = draw([Lesson.retain(c) for c in conditions], settings.samples, seed + 2)
        conditioning: Conditioning = encode(adapter, [lesson.asked for lesson in drawn])
        first = seed * 1_000_003 + 500_000
        made = range(first, first + len(drawn))
        samples = [
            sample.to(conditioning.hidden.device) for sample in adapter.generate(conditioning, seeds=made)
        ]
        fisher = diagonal_fisher(trained, conditioning, samples, settings, chosen, made)
        if self.fisher is not None:
            save_fisher(self.fisher, fisher, settings, generator)
        return fisher
