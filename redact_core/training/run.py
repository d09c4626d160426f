"""A redaction in its steps, which :func:`~redact_core.redact` and the Lightning module take alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.fingerprint import weights_digest
from redact_core.artefacts.history import earlier_redactions, history_of, not_asked_for
from redact_core.artefacts.work import Done, Work
from redact_core.errors import RedactError
from redact_core.lessons.rules import check_lessons
from redact_core.objectives.base import Objective, Rows, frozen_copy
from redact_core.objectives.distillation import method_of
from redact_core.training.result import Redaction
from redact_core.training.soundness import (
    check_base,
    check_changed,
    check_measures,
    check_rate,
    check_steps,
    check_weights,
    shortfalls,
)
from redact_core.types import Lesson, Request


def lessons_of(adapter: Adapter, request: Request | None, rows: Sequence[Lesson] = ()) -> list[Lesson]:
    """All lessons: ``rows`` as they are, and what the adapter makes of ``request``.

    Raises:
        RedactError: They contradict one another, or a condition cannot be read.
    """
    found = [*rows, *(() if request is None else adapter.expand(request))]
    check_lessons(found, adapter.identity)
    return found


class TrainingRun:
    """One redaction of one model: prepare; solve, or initialise, ask for targets and train; finish.

    Making it prepares: the method is checked against the model, the student is chosen, and a frozen copy of it becomes the
    teacher. The caller takes the optimiser's steps between :meth:`targets` and :meth:`finish`.

    Args:
        adapter: The model; it is redacted in place.
        objective: The method; default: what suits the adapter.
        lr: Peak learning rate; default: what the method or the adapter recommends.

    Raises:
        RedactError: The method does not fit the model, the encoder's weights are not float32, or the rate is no
            finite number above 0.
    """

    def __init__(self, adapter: Adapter, objective: Objective | None = None, lr: float | None = None):
        if adapter.dtype != torch.float32:
            raise RedactError(
                f"The encoder's weights are {str(adapter.dtype).removeprefix('torch.')}; training needs float32: call "
                "to(dtype=torch.float32), or load the model anew."
            )
        self.adapter = adapter
        self.objective = method_of(adapter, objective)
        self.objective.check(adapter)
        self.rate = self.objective.peak_rate(adapter) if lr is None else lr
        check_rate(self.rate)
        self.student: nn.Module = self.objective.prepare(adapter)
        self._teacher: nn.Module | None = frozen_copy(self.student, self.objective.untouched(self.student))
        self._rows: Rows | None = None
        self._before: Mapping[str, float] = {}
        self._solved = False
        self._changed = False
        """The student is known to be another than the base."""

    @cached_property
    def base(self) -> str:
        """SHA-256 of the untouched weights of the student; asked first before :meth:`targets`.

        Raises:
            RedactError: They, or the encoder's, are not finite.
        """
        assert self._teacher is not None, "the teacher is gone once the targets are there"
        check_base(self._teacher)
        if self.student is not self.adapter.encoder:
            check_base(self.adapter.encoder)
        return weights_digest(self._teacher)

    def check_changed(self) -> None:
        """Refuse a student that is the base still; the digest of all its weights is taken once.

        Raises:
            RedactError: See above.
        """
        if not self._changed:
            check_changed(self.student, self.base)
        self._changed = True

    def steps(self, wanted: int | None = None) -> int:
        """Optimiser steps of the training: ``wanted``, or what suits method and adapter.

        Raises:
            RedactError: They are below 1.
        """
        count = self.objective.default_steps(self.adapter) if wanted is None else wanted
        check_steps(count)
        return count

    def solve(self, lessons: Sequence[Lesson], *, seed: int) -> bool:
        """Carry out the lessons without training, if that can be done; True when done."""
        self._solved = self.objective.solve(self.adapter, lessons, seed=seed)
        return self._solved

    def initialise(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Change the student before its first step, where the method does."""
        self.objective.initialise(self.adapter, lessons, seed=seed)

    def targets(self, lessons: Sequence[Lesson], *, seed: int, device: torch.device | None = None) -> Rows:
        """What is trained on, and what it measures of the untouched model; the teacher is asked once and then let go.

        Args:
            lessons: Of :func:`lessons_of`.
            seed: Of variants.
            device: Where the teacher works; default: where it is.
        """
        if self._rows is None:
            assert self._teacher is not None
            teacher = self._teacher if device is None else self._moved(self._teacher, device)
            asked = self.objective.measured_rows if self._solved else self.objective.rows
            self._rows = asked(self.adapter, teacher, lessons, seed=seed)
            self._before = self._rows.measure(teacher)
            self._teacher = None
        return self._rows

    def _moved(self, teacher: nn.Module, device: torch.device) -> nn.Module:
        """``teacher`` on ``device``; what it holds together with the student is moved once."""
        shared = {id(parameter) for parameter in self.objective.untouched(self.student)}
        for name, parameter in self.student.named_parameters():
            if id(parameter) in shared:
                place, _, leaf = name.rpartition(".")
                setattr(teacher.get_submodule(place), leaf, parameter)
        return teacher.to(device)

    def finish(
        self,
        lessons: Sequence[Lesson],
        asked: Sequence[str],
        *,
        batch_size: int,
        seed: int,
        cost: Mapping[str, float],
        done: Done | None = None,
        losses: Mapping[str, float] | None = None,
        remarks: tuple[str, ...] = (),
    ) -> Redaction:
        """The result, once the student is trained or solved for.

        Args:
            lessons: Of :func:`lessons_of`.
            asked: What the person asked for, in words, for the card.
            batch_size: Rows of a step.
            seed: Of wordings, variants and order.
            cost: Of :meth:`redact_core.support.meter.Meter.cost`.
            done: Steps that were taken; ``None`` where the lessons were solved.
            losses: Loss terms of the last step.
            remarks: What the adapter did beyond what was asked for.

        Raises:
            RedactError: Weights or measures are not finite.
        """
        check_weights(self.student)
        after = self.targets(lessons, seed=seed).measure(self.student)
        measures = {f"{name} before": value for name, value in self._before.items()}
        measures |= {f"{name} after": value for name, value in after.items()}
        check_measures(measures)
        missed = [*shortfalls(self._before, after), *self.objective.shortfalls(), *self._not_asked_for()]
        work = Work(self.objective, lessons, asked, self.rate, batch_size, seed, measures, cost, done, missed)
        base = None if self._changed else self.base
        return Redaction(self.adapter, self.student, base, work, losses or {}, remarks)

    def _not_asked_for(self) -> list[str]:
        """Whether an encoder that was redacted before stood between the conditions and the generator."""
        if self.student is self.adapter.encoder:
            return []
        before = self.adapter.redaction
        in_memory = before.records() if isinstance(before, Redaction) else ()
        return not_asked_for(earlier_redactions(history_of(self.adapter.origin), self.objective, in_memory))
