"""What calling a model gives: samples that can be kept as files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One sample of a model."""

    values: Tensor
    """As :meth:`redact_core.adapters.base.Adapter.generate` gives it, on the CPU."""
    write: Callable[[Tensor, Path], Path]
    """Writes such values; :meth:`redact_core.adapters.base.Adapter.write_sample`."""

    def save(self, path: Path | str) -> Path:
        """Write the sample as a file people can open.

        Args:
            path: The file; its suffix becomes that of the format.

        Returns:
            The path with its suffix.
        """
        return self.write(self.values, Path(path))


@dataclass(frozen=True)
class Samples:
    """The samples of one call, in the order of the conditions."""

    samples: list[Sample]
