"""What a training method is: a module to train, targets computed once, named loss terms."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from redact_core.adapter import Adapter
from redact_core.types import Batch, Conditioning


class Objective(nn.Module, ABC):
    """A training method. Its terms are summed to the loss; each is logged under its name."""

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The module to train; default: the encoder. A frozen copy of it becomes the teacher."""
        return adapter.encoder

    def targets(self, teacher: nn.Module, inputs: Mapping[str, Tensor]) -> Conditioning:
        """The teacher's answers; called once for each row and variant, never in the loop."""
        return teacher(inputs)

    @abstractmethod
    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms, weights included; their sum is the loss."""
