"""Distillation of a conditioning network one stage after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasStages, require
from redact_core.adapters.stage import Stage
from redact_core.errors import RedactError
from redact_core.objectives.base import Rows
from redact_core.objectives.distances import conditioning_distance, group_mean
from redact_core.objectives.distillation import Distillation
from redact_core.support.processes import process_count, refuse_several
from redact_core.types import Batch, Conditioning, Lesson


class SequentialDistillation(Distillation):
    """Distillation one stage after the other: each is trained towards its own part of the answer, then frozen.

    The loss of a step is :class:`~redact_core.objectives.distillation.Distillation`'s over the positions of one stage,
    and only that stage's parameters move; a later stage is given the outputs of the trained earlier ones. For
    conditioning networks like DM-GAN's, for which Kong & Chaudhuri (arXiv 2305.11351) have a way of
    distilling of their own; ``Distillation`` trains all stages at once. In one process only; several are refused.

    Args:
        steps: Optimiser steps of every stage but the last, which is trained till the end. The
            learning rate falls over the whole run, so later stages learn at lower ones.
        redact_weight: Of redacted rows.
        retain_weight: Of retained rows.

    Raises:
        RedactError: A number is out of range; on preparing, the adapter shows no stages, they leave
            parameters out or share some, or there are too few numbers of steps.
    """

    needs = (HasStages,)
    one_process = True
    taken: Tensor

    def __init__(
        self, steps: Sequence[int] = (200, 200), redact_weight: float = 1.0, retain_weight: float = 1.0
    ):
        super().__init__(redact_weight, retain_weight)
        if any(count < 1 for count in steps):
            raise RedactError(f"steps is {list(steps)}; give at least 1 for each stage but the last.")
        self.steps = tuple(steps)
        self.parts: tuple[Stage, ...] = ()
        # in the checkpoint, so that an interrupted run goes on in its stage
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder, whose parameters each belong to one stage."""
        student = super().prepare(adapter)
        parts = tuple(require(adapter, HasStages, type(self).__name__).stages())
        if len(self.steps) != len(parts) - 1:
            names = ", ".join(part.name for part in parts)
            raise RedactError(
                f"{len(self.steps)} numbers of steps for the stages {names}; give {len(parts) - 1}, one for "
                "each but the last."
            )
        for name, _ in student.named_parameters():
            owners = [part.name for part in parts if part.owns(name)]
            if len(owners) != 1:
                raise RedactError(
                    f"{name} belongs to {' and '.join(owners) or 'no stage'}; an adapter's stages share out "
                    "the encoder's parameters."
                )
        self.parts = parts
        return student

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Rows:
        """Those of distillation.

        Raises:
            RedactError: Several processes train together.
        """
        refuse_several(type(self).__name__, process_count())
        return super().rows(adapter, teacher, lessons, seed=seed)

    @property
    def stage(self) -> Stage:
        """The one that the next step trains."""
        if not self.parts:
            raise RedactError(
                "SequentialDistillation was not prepared; call prepare(adapter) before any step."
            )
        ends = torch.tensor(self.steps).cumsum(0).tolist()
        return self.parts[sum(int(self.taken) >= end for end in ends)]

    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """``redact`` and ``retain`` over the positions of :attr:`stage`; other parameters get no gradients."""
        if batch.target.pooled is not None:
            raise RedactError("The answers have a pooled part, which no stage makes; use Distillation.")
        stage = self.stage
        self.taken += 1
        heard = torch.zeros_like(batch.target.mask)
        heard[:, stage.positions] = batch.target.mask[:, stage.positions]
        conditioning = _with_gradients_of(stage, student, batch.asked)
        distance = conditioning_distance(conditioning, replace(batch.target, mask=heard))
        return {
            "redact": self.redact_weight * group_mean(distance, batch.redacted, batch.weight),
            "retain": self.retain_weight * group_mean(distance, ~batch.redacted, batch.weight),
        }


def _with_gradients_of(stage: Stage, student: nn.Module, inputs: Mapping[str, Tensor]) -> Conditioning:
    """What the student says, in a graph that reaches the parameters of ``stage`` only."""
    others = [p for name, p in student.named_parameters() if p.requires_grad and not stage.owns(name)]
    try:
        for parameter in others:
            parameter.requires_grad_(False)
        return student(inputs)
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
