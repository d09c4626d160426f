"""Parts of a conditioning network that the generator reads one after the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of a conditioning network, and what the generator reads of it."""

    name: str
    parameters: tuple[str, ...]
    """Beginnings of the names of its parameters in the encoder."""
    positions: slice
    """Of :attr:`~redact_core.types.Conditioning.hidden`: what this stage says; of ``pooled`` no stage does."""

    def owns(self, parameter: str) -> bool:
        """Whether the parameter of that name belongs to this stage."""
        return parameter.startswith(self.parameters)
