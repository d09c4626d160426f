"""HiRM: the first block learns to send a concept's last attention states in directions that mean nothing."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import require
from redact_core.adapters.generator_parts import HasTowers, Tower
from redact_core.errors import RedactError
from redact_core.objectives._parts.bare_rows import bare_rows
from redact_core.objectives._parts.replay import swapped_weights
from redact_core.objectives.base import Objective
from redact_core.objectives.distances import group_mean
from redact_core.objectives.targets import Targets
from redact_core.types import Batch, Conditioning, Lesson


class HiRM(Objective):
    """High-level Representation Misdirection: trains the first block to send a concept's last states in meaningless directions.

    *High-level Representation Misdirection* (ICLR 2026, arXiv 2602.19631).

    Only the encoder's first block is trained, with ``h_t`` what the last block's attention puts out at position ``t``
    for a redacted name ::

        L = mean_t |h_t - scale d_t|^2

    ``d_t`` is a fixed random direction of length 1 (``random``), or what the untouched encoder puts out for the
    reference (``reference``, the authors' super-category; ``scale`` is then 1). There is no retain term: what stays
    is left to the few steps and the early block.

    Known traps: the authors train 50, 20 or 15 steps for nudity, styles and objects; more damages what nobody watches.
    ``scale`` 500 belongs to CLIP-L's attention states, whose size other encoders do not have. Names alone are trained on.

    Args:
        direction: ``random`` or ``reference``.
        scale: Of random directions.
        learning_rate: Peak learning rate.
        seed: Of the directions.

    Raises:
        RedactError: A setting is out of range; on preparing, the encoder is made of no transformer.
    """

    needs = (HasTowers,)
    solvable = False

    def __init__(
        self,
        direction: Literal["random", "reference"] = "random",
        scale: float = 500.0,
        learning_rate: float = 5e-5,
        seed: int = 0,
    ):
        super().__init__()
        if direction not in ("random", "reference"):
            raise RedactError(f"direction is {direction!r}; give random or reference.")
        if not 0 < scale < float("inf"):
            raise RedactError(f"scale is {scale}; give a finite number above 0.")
        self.direction, self.scale, self.learning_rate, self.seed = direction, scale, learning_rate, seed
        self._towers: Sequence[Tower] = ()
        self._trained: dict[str, nn.Module] = {}  # not registered: it is the student

    def default_steps(self, adapter: Adapter) -> int:
        """15, as the authors have it for objects."""
        del adapter
        return 15

    def prepare(self, adapter: Adapter) -> nn.Module:
        """The encoder, with gradients for the first block of each of its transformers.

        Raises:
            RedactError: It has none.
        """
        self._towers = require(adapter, HasTowers, type(self).__name__).towers()
        chosen = {id(p) for tower in self._towers for p in tower.first.parameters()}
        for parameter in adapter.encoder.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        return adapter.encoder

    def rows(self, adapter: Adapter, teacher: nn.Module, lessons: Sequence[Lesson], *, seed: int) -> Targets:
        """Redacted names with the states that they shall have."""
        self._trained["encoder"] = adapter.encoder.to(next(teacher.parameters()).device)
        gone, _ = bare_rows(lessons)
        return _States(adapter, self, teacher, gone, seed=seed)

    def targets(self, teacher: nn.Module, inputs: Mapping[str, Tensor]) -> Conditioning:
        """The states that names shall have, as ``hidden``."""
        with swapped_weights(self.encoder, teacher):
            states = self.states(self.encoder, inputs)
        if self.direction == "random":
            states = self._directions(states)
        return Conditioning(states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device))

    @property
    def encoder(self) -> nn.Module:
        """What is trained, once :meth:`rows` has seen it."""
        return self._trained["encoder"]

    def states(self, student: nn.Module, inputs: Any) -> Tensor:
        """``(batch, length, dim)`` what the last attentions put out, side by side; differentiable."""
        with _kept(self._towers) as found:
            student(inputs)
        return torch.cat(found, -1)

    def _directions(self, like: Tensor) -> Tensor:
        """As ``like (batch, length, dim)``: at each position a random direction of length ``scale``, the same for all names."""
        drawn = torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        return (self.scale * drawn / drawn.norm(dim=-1, keepdim=True)).to(like).expand_as(like)

    def forward(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """``redact``: the mean squared distance from the directions, over positions."""
        error = (self.states(student, batch.asked) - batch.target.hidden).square().sum(-1).mean(1)
        return {"redact": group_mean(error, batch.redacted, batch.weight)}


class _States(Targets):
    """Names with states in place of answers; what is measured is the method's own loss."""

    @torch.no_grad()
    def measure(self, student: nn.Module, limit: int = 64) -> dict[str, float]:
        """``redact distance``: the loss over at most ``limit`` names."""
        method, device = self._objective, next(student.parameters()).device
        assert isinstance(method, HiRM)
        batch = self.batch(torch.arange(min(limit, len(self)))).to(device)
        with swapped_weights(method.encoder, student):
            return {"redact distance": method(method.encoder, batch)["redact"].item()}


@contextmanager
def _kept(towers: Sequence[Tower]) -> Generator[list[Tensor]]:
    """While open, a pass leaves what the last attentions put out."""
    found: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)

    with ExitStack() as open_:
        for tower in towers:
            open_.callback(tower.attention.register_forward_hook(hook).remove)
        yield found
