"""The capability of an encoder to get gating units behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from redact_core.adapters.capabilities import Capability


class HasStateGates(Capability):
    """An encoder whose states, position by position, can be taken over by units behind it."""

    needed_for = "an encoder that takes gating units behind its last block"
    instead = "use Distillation"

    @abstractmethod
    def gate_states(self, inputs: Mapping[str, Tensor], after: int | None = None) -> Tensor:
        """``(batch, length, dim)`` states of length 1 that a new gate would read; differentiable.

        Args:
            inputs: Of the encoder.
            after: Positions behind the longest condition that are computed; default: all.
        """

    @abstractmethod
    def add_gate(self, directions: Tensor, thresholds: Tensor, answers: Tensor, spare: float) -> None:
        """Put units behind the encoder.

        Args:
            directions: ``(units, dim)`` of length 1.
            thresholds: ``(units,)``; a unit opens where direction times state is above.
            answers: ``(units, dim)`` states that stand in.
            spare: A state so far below its threshold, or farther, keeps every bit.
        """
