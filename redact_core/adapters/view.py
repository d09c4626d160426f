"""An adapter seen through a part of its encoder, for methods that take the parts one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from redact_core.adapters.base import Adapter, Origin
from redact_core.errors import RedactError
from redact_core.types import Condition, Conditioning, Lesson, Request


class PartView(Adapter):
    """The adapter ``whole`` with another ``encoder``, which a subclass sets: everything else is asked of it.

    A part alone generates nothing.

    Args:
        whole: The model's adapter.
    """

    alone: ClassVar[str]
    """Why nothing is generated, and what to use; a sentence."""

    def __init__(self, whole: Adapter):
        self.whole = whole

    @property
    def origin(self) -> Origin:
        return self.whole.origin

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return self.whole.collate(conditions)

    def augment(self, inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        return self.whole.augment(inputs, generator)

    def expand(self, request: Request) -> list[Lesson]:
        return self.whole.expand(request)

    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        raise RedactError(self.alone)

    def write_sample(self, sample: Tensor, path: Path) -> Path:
        return self.whole.write_sample(sample, path)

    def save(self, folder: Path) -> None:
        self.whole.save(folder)
