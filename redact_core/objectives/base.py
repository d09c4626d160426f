"""What a training method is: a module to train, rows computed once, named loss terms."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import Capability, SolvesExactly, require_all
from redact_core.objectives.targets import Targets
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Conditioning, Lesson


class Rows(Protocol):
    """What a method trains on, ready and on the CPU; a loader walks over it."""

    weight: Tensor  # (rows,) float

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor, weight: Tensor | None = None, *, turn: int = 0) -> BatchLike:
        """The rows ``rows`` (int64) in pass ``turn``; ``weight`` replaces their own."""
        ...

    def measure(self, student: nn.Module) -> dict[str, float]:
        """How far ``student`` is from what is wanted, for the card; the smaller the better."""
        ...


class BatchLike(Protocol):
    """Rows of one step; the objective knows what is in them."""

    def to(self, device: torch.device | str) -> BatchLike:
        """The same rows on ``device``."""
        ...

    def __len__(self) -> int: ...


class Objective(WholeNumbers, nn.Module, ABC):
    """A training method. Its terms are summed to the loss; each is logged under its name."""

    needs: ClassVar[tuple[type[Capability], ...]] = ()
    """Capabilities of a model without which the method cannot run; ``redact ls`` shows them."""
    learning_rate: float | None = None
    """Peak learning rate that suits the method; ``None``: what the adapter recommends."""
    solvable: ClassVar[bool] = True
    """Whether :meth:`~redact_core.adapters.capabilities.SolvesExactly.solve` may stand in for the training; not where a method is about the generator."""
    solve_runs_encoder: ClassVar[bool] = False
    """Whether :meth:`solve` puts rows through the encoder, which then is worth moving to the accelerator first."""
    one_process: ClassVar[bool] = False
    """Whether it trains in one process only; several are refused."""
    scope: ClassVar[str | None] = None
    """What was changed and what undoes it, for the card; ``None``: the conditioning path."""

    solved: str = "The lessons were carried out exactly, without training."
    """For the card, after :meth:`solve`: how it was done."""

    @property
    def begins_with(self) -> Path | None:
        """Folder of an earlier redaction whose weights the student begins with: the next card lists what its card lists."""
        return None

    def needed(self) -> Sequence[type[Capability]]:
        """What the method needs with the settings that it has; default: :attr:`needs`."""
        return self.needs

    def check(self, adapter: Adapter) -> None:
        """Refuse a model that the method does not fit, before anything is computed.

        Raises:
            RedactError: The model lacks one of :meth:`needed`; see :func:`~redact_core.adapters.capabilities.require`.
        """
        require_all(adapter, self.needed(), type(self).__name__)

    def untouched(self, student: nn.Module) -> Sequence[nn.Parameter]:
        """Parameters of what :meth:`prepare` gave that stay as they are, so that student and teacher hold them together.

        A generator takes gigabytes, of which many methods change a small part. By default there are none: whether a
        parameter takes gradients does not tell, for lessons may be solved for.
        """
        del student
        return ()

    def solve(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> bool:
        """Carry out the lessons without training, if that can be done; True when done.

        By default where the adapter can do it exactly and the method is about the encoder.
        """
        del seed
        exact = adapter.offers(SolvesExactly) if self.solvable else None
        return exact is not None and exact.solve(lessons)

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The module to train; default: the encoder. A frozen copy of it becomes the teacher."""
        return adapter.encoder

    def initialise(self, adapter: Adapter, lessons: Sequence[Lesson], *, seed: int = 0) -> None:
        """Change the student before its first step, in place; by default it begins as it is.

        The step after :meth:`prepare` and the copy of the teacher. A checkpoint that is gone on from holds its result.
        """
        del adapter, lessons, seed

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Rows:
        """What to train on, computed with ``teacher`` once; default: :class:`~redact_core.objectives.targets.Targets`."""
        return Targets(adapter, self, teacher, lessons, seed=seed)

    def measured_rows(
        self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int
    ) -> Rows:
        """What is measured of lessons that :meth:`solve` carried out; default: :meth:`rows`, all of them."""
        return self.rows(adapter, teacher, lessons, seed=seed)

    def peak_rate(self, adapter: Adapter) -> float:
        """The peak learning rate where none is named: the method's own, else what suits the adapter."""
        return adapter.learning_rate if self.learning_rate is None else self.learning_rate

    def default_steps(self, adapter: Adapter) -> int:
        """Steps of a training where none are named: what suits the adapter, or the method's own."""
        return adapter.default_steps()

    def shortfalls(self) -> Sequence[str]:
        """Sentences about what the method was to do and did not, once it has trained; each is a warning, and on the card."""
        return ()

    def targets(self, teacher: nn.Module, inputs: Mapping[str, Tensor]) -> Conditioning:
        """The teacher's answers; called once for each row and variant, never in the loop."""
        return teacher(inputs)

    @abstractmethod
    def forward(self, student: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Named scalar terms, weights included; their sum is the loss."""


def frozen_copy(module: nn.Module, shared: Iterable[nn.Parameter] = ()) -> nn.Module:
    """A copy in evaluation mode that takes no gradients: the teacher.

    Args:
        module: Of what.
        shared: Parameters of it that are not copied but held by both.
    """
    return copy.deepcopy(module, {id(p): p for p in shared}).eval().requires_grad_(False)
