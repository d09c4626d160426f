"""The hidden state itself, moved within a budget."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from redact_core.adapters.base import Adapter
from redact_core.adapters.capabilities import HasTrainingLoss, require
from redact_core.attacks.base import Attack, Attempt
from redact_core.errors import RedactError
from redact_core.plan import PlanRow
from redact_core.types import Conditioning


class HiddenState(Attack):
    """Moves the conditioning that the generator is given, so that it fits the base's samples; at most by ``radius``.

    Projected gradient descent (Madry et al., arXiv 1706.06083) on the generator's training loss, from
    the attacked model's own answer.

    Args:
        radius: Largest distance of a row, as a share of the norm of its hidden state.
        steps: Gradients taken.
    """

    access, adaptive = "denoiser gradient", True
    needs = (HasTrainingLoss,)

    def __init__(self, radius: float = 0.5, steps: int = 100):
        if radius <= 0:
            raise RedactError(f"radius is {radius}; give a share above 0.")
        self.radius, self.steps = radius, steps

    @property
    def name(self) -> str:
        return f"HiddenState-{self.radius:g}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps within {self.radius:g} of the norm"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        conditions = [row.condition for row in rows]
        with torch.no_grad():
            wanted = base.generate(conditions, seeds=[row.seed for row in rows])
            start = model.encode(conditions).detach()
        trained = require(model, HasTrainingLoss, type(self).__name__)
        parameters = [p for p in trained.generator.parameters() if p.requires_grad]
        for parameter in parameters:  # their gradients cost half the time and serve nothing
            parameter.requires_grad_(False)
        try:
            with torch.enable_grad():
                hidden, losses = self._descend(trained, start, wanted, [row.seed for row in rows], seed)
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)
        found = Conditioning(hidden, start.mask, start.pooled)
        return [
            Attempt(
                conditioning=found[torch.tensor([i], device=hidden.device)],
                queries=self.steps,
                losses=tuple(step[i] for step in losses),
            )
            for i in range(len(rows))
        ]

    def _descend(
        self,
        model: HasTrainingLoss,
        start: Conditioning,
        wanted: Sequence[Tensor],
        seeds: Sequence[int],
        seed: int,
    ) -> tuple[Tensor, list[list[float]]]:
        generator = torch.Generator().manual_seed(seed)
        limit = self.radius * start.hidden.flatten(1).norm(dim=1)
        moved = torch.zeros_like(start.hidden)
        losses: list[list[float]] = []
        for _ in range(self.steps):
            moved.requires_grad_()
            # another draw of times and noise; what a row's seed chose for its sample stays
            draw = int(torch.randint(1, 2**20, (), generator=generator))
            draws = [model.redraw(own, draw) for own in seeds]
            conditioning = Conditioning(start.hidden + moved, start.mask, start.pooled)
            loss = model.training_loss(conditioning, wanted, seeds=draws)
            gradient = torch.autograd.grad(loss.sum(), moved)[0]
            # two and a half times the way to the border in all, as Madry et al. do
            length = 2.5 * limit / self.steps / gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
            moved = (moved - length.view(-1, 1, 1) * gradient).detach()
            far = moved.flatten(1).norm(dim=1)
            moved = moved * (limit / far.clamp(min=1e-12)).clamp(max=1).view(-1, 1, 1)
            losses.append(loss.tolist())
        return start.hidden + moved, losses
