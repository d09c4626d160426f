"""An adapter around an adapter: what acts at inference and trains nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter, Origin, StepWatcher
from redact_core.adapters.disturbance import Disturbable
from redact_core.adapters.last_linear import LastLinear
from redact_core.adapters.stage import Stage
from redact_core.plan import PlanRow
from redact_core.types import Condition, Conditioning, Lesson, Request

if TYPE_CHECKING:
    from redact_core.objectives.base import Objective


def _inner(name: str) -> Any:
    """A property that reads and sets the attribute ``name`` of the guarded adapter."""

    def read(self: Guard) -> Any:
        return getattr(self.inner, name)

    def write(self: Guard, value: Any) -> None:
        setattr(self.inner, name, value)

    return property(read, write, doc=f"``{name}`` of the guarded adapter.")


class Guard(Adapter):
    """An adapter around an adapter, for methods that act at inference and train nothing.

    A subclass overrides :meth:`generate`; all else is the guarded adapter's. Guards may be stacked,
    and a guard keeps no state between calls but its settings, so that many may share one adapter.

    Args:
        inner: What is guarded: a model, or a guard around one.
    """

    encoder = _inner("encoder")
    variants = _inner("variants")
    learning_rate = _inner("learning_rate")
    batch_size = _inner("batch_size")
    redaction = _inner("redaction")
    scorers = _inner("scorers")
    set_scorers = _inner("set_scorers")
    saves_generator = _inner("saves_generator")
    suites = _inner("suites")

    def __init__(self, inner: Adapter):
        self.inner = inner

    @property
    def model(self) -> Adapter:
        """What stands below all guards."""
        return self.inner.model if isinstance(self.inner, Guard) else self.inner

    def around(self, inner: Adapter) -> Self:
        """This guard with the same settings around another adapter."""
        other = copy(self)
        other.inner = inner
        return other

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model; a guard that runs networks of its own moves them as well."""
        self.inner.to(device, dtype)
        return self

    @property
    def origin(self) -> Origin:
        return self.inner.origin

    def shown(self, samples: Sequence[Tensor]) -> Any:
        return self.inner.shown(samples)

    def progress(self, steps: int) -> AbstractContextManager[StepWatcher]:
        return self.inner.progress(steps)

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return self.inner.collate(conditions)

    def identity(self, condition: Condition) -> Hashable:
        return self.inner.identity(condition)

    def encode(self, conditions: Sequence[Condition]) -> Conditioning:
        return self.inner.encode(conditions)

    def expand(self, request: Request) -> list[Lesson]:
        return self.inner.expand(request)

    def solve(self, lessons: Sequence[Lesson]) -> bool:
        return self.inner.solve(lessons)

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        return self.inner.augment(inputs, generator)

    def disturb(self, inputs: Mapping[str, Tensor], places: int | None = None) -> Disturbable:
        return self.inner.disturb(inputs, places)

    def replace(
        self, conditions: Sequence[Condition], answers: Sequence[Condition], places: int
    ) -> Disturbable:
        return self.inner.replace(conditions, answers, places)

    def default_steps(self) -> int:
        return self.inner.default_steps()

    def default_objective(self) -> Objective | None:
        return self.inner.default_objective()

    def last_linear(self) -> LastLinear:
        return self.inner.last_linear()

    def closed_form_views(self) -> Sequence[Adapter]:
        return self.inner.closed_form_views()

    def stages(self) -> Sequence[Stage]:
        return self.inner.stages()

    def plan(self, request: Request, n: int) -> list[PlanRow]:
        return self.inner.plan(request, n)

    def reopen(self, folder: Path) -> Self:
        """This guard around the redacted model of ``folder``."""
        return self.around(self.inner.reopen(folder))

    def files(self) -> Mapping[str, Path]:
        """The guarded adapter's files; a guard that reads files of its own adds them."""
        return self.inner.files()

    @property
    def generator(self) -> nn.Module:
        return self.inner.generator

    @property
    def time_steps(self) -> int:
        return self.inner.time_steps

    def training_loss(
        self,
        conditioning: Conditioning,
        samples: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        times: Sequence[int] | None = None,
    ) -> Tensor:
        return self.inner.training_loss(conditioning, samples, seeds=seeds, times=times)

    def redraw(self, seed: int, draw: int) -> int:
        return self.inner.redraw(seed, draw)

    def choosing(self, seed: int, like: int) -> int:
        return self.inner.choosing(seed, like)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return self.inner.write_sample(sample, path)

    def save(self, folder: Path) -> None:
        """The guarded model alone: a guard leaves no trace in a folder."""
        self.inner.save(folder)
