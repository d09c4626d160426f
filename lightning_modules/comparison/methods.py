"""A method of a comparison: an objective that changes a model, or a guard around it, with the settings that are tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redact_core import Adapter, Objective

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """What is put beside others, and the settings that are tried for it."""

    make: Callable[..., Objective | Sequence[Objective]] | Callable[..., Adapter]
    """Settings -> objective, or several that are applied in turn; of a guard: the model, what is redacted and settings ->
    the guarded model."""
    trials: Sequence[Settings] = ({},)
    """The first are its authors' or our own defaults."""
    guard: bool = False
    steps: int | None = None
    batch_size: int = 64
    base: Settings = field(default_factory=dict)
    """Of the model that is redacted, for methods that ask it for other rows."""
