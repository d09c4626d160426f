"""What methods share that train the generator on its own training loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.objectives._parts.chosen_parameters import expression, train_only, without_gradients
from redact_core.objectives.base import Objective


class GeneratorMethod(Objective):
    """A method that trains the generator; the conditioning path stays as it is.

    Args:
        parameters: Train only those whose name this regular expression is found in.

    Raises:
        RedactError: The expression is none.
    """

    needs = (HasTrainingLoss,)
    solvable = False

    def __init__(self, parameters: str):
        super().__init__()
        self._wanted, self.parameters_filter = expression(parameters), parameters
        self._trained: HasTrainingLoss | None = None

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The generator, with gradients for the chosen parameters only.

        Raises:
            RedactError: The model has no training loss, or no parameter is chosen.
        """
        self._trained = require(adapter, HasTrainingLoss, type(self).__name__)
        return train_only(
            self._trained.generator, self._wanted.search, f"parameters is {self.parameters_filter!r}"
        )

    def untouched(self, student: nn.Module) -> Sequence[nn.Parameter]:
        """All but the chosen parameters."""
        return without_gradients(student)
