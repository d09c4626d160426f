"""What methods share that train the denoiser on rows of its own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.adapters.generator_parts import HasDenoiser, generator_of
from redact_core.objectives._parts.chosen_parameters import train_only, without_gradients
from redact_core.objectives.base import Objective


class DenoiserMethod(Objective):
    """A method that trains parameters of the denoiser; the encoder stays as it is."""

    needs = (HasDenoiser, HasTrainingLoss)
    solvable = False
    scope = (
        "The denoiser of this folder was changed, its encoder was not. Another encoder does not bring the redacted "
        "conditions back; putting the denoiser's stock file back does, and so "
        "may training it again, and conditions that somebody learns from samples of what was redacted."
    )

    def __init__(self) -> None:
        super().__init__()
        self._denoiser: HasDenoiser | None = None

    def default_steps(self, adapter: Adapter) -> int:
        """200, as the authors have it."""
        del adapter
        return 200

    def prepare_where(self, adapter: Adapter, wanted: Callable[[str], object], what: str) -> nn.Module:
        """The denoiser, with gradients for the parameters whose names are ``wanted``; ``what`` says so in a refusal.

        Raises:
            RedactError: The model has no denoiser, or no such parameter.
        """
        name = type(self).__name__
        self._denoiser = require(adapter, HasDenoiser, name)
        return train_only(generator_of(adapter, name), wanted, what)

    def untouched(self, student: nn.Module) -> Sequence[nn.Parameter]:
        """All but the chosen parameters."""
        return without_gradients(student)
