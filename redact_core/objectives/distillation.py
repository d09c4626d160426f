"""Conditioning distillation: the two-term objective."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.errors import RedactError
from redact_core.objectives.base import Objective
from redact_core.objectives.distances import conditioning_distance, group_mean
from redact_core.support.processes import on_first
from redact_core.types import Batch, Lesson

FROM_A_START = 0.5
"""Of the learning rate, where the student starts near its end: at the full rate its first steps are the largest moves of all."""


class Distillation(Objective):
    """Distil the conditioning network so that redacted conditions get the reference's answer.

    Kong & Chaudhuri, "Data Redaction from Conditional Generative Models" (arXiv 2305.11351)::

        L(H') = retain_weight * E_keep |H'(c) - H(c)|^2 + redact_weight * E_redact |H'(c) - H(ref(c))|^2

    with ``H`` the frozen teacher, ``H'`` the student that starts as its copy. A weight of 0 removes
    its term. The generator is neither loaded nor run.

    Args:
        redact_weight: Of redacted rows.
        retain_weight: Of retained rows.
        start: What changes the student before training, such as
            :class:`~redact_core.objectives.closed_form.ClosedForm` or :class:`~redact_core.objectives.from_folder.FromFolder`; training
            goes on from its result, with the answers of the teacher as it was before.

    Raises:
        RedactError: A weight is out of range.
    """

    started: Tensor

    def __init__(
        self, redact_weight: float = 1.0, retain_weight: float = 1.0, start: Objective | None = None
    ):
        super().__init__()
        for name, value in (("redact_weight", redact_weight), ("retain_weight", retain_weight)):
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        self.redact_weight = redact_weight
        self.retain_weight = retain_weight
        self.start = start
        # in the checkpoint, so that an interrupted run does not start again
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def check(self, adapter: Adapter) -> None:
        super().check(adapter)
        if self.start is not None:
            try:
                self.start.check(adapter)
            except RedactError as error:
                raise RedactError(
                    f"{type(self).__name__} starts from a {type(self.start).__name__}. {error}"
                ) from error

    def peak_rate(self, adapter: Adapter) -> float:
        """Half of what suits the adapter where training goes on from a ``start``, which more would undo."""
        return super().peak_rate(adapter) * (1.0 if self.start is None else FROM_A_START)

    def initialise(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> None:
        """``start`` changes the student, unless a checkpoint says that it did.

        Of several processes the first one solves the start, and the others get its result.
        """
        if self.start is not None and not self.started:
            start = self.start
            on_first(lambda: start.solve(adapter, lessons, seed=seed), adapter.encoder)
            self.started.fill_(True)

    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """``redact`` and ``retain``: weighted group means of :func:`conditioning_distance`."""
        distance = conditioning_distance(student(batch.asked), batch.target)
        return {
            "redact": self.redact_weight * group_mean(distance, batch.redacted, batch.weight),
            "retain": self.retain_weight * group_mean(distance, ~batch.redacted, batch.weight),
        }


def method_of(adapter: Adapter, objective: Objective | None = None) -> Objective:
    """The method that is named; else the one that suits ``adapter``; else plain distillation."""
    return objective or adapter.default_objective() or Distillation()
