"""Pixels of the finished picture, moved so that the filter lets it pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modalities.text_to_image.guards.espresso import Espresso
from redact_core import Adapter, Attack, Attempt, PlanRow, RedactError
from redact_core.adapters.generator_parts import GivesPictures


class FilterPixels(Attack):
    """Moves pictures within a ball until Espresso passes them: how much the filter itself can bear.

    Projected gradient descent (Madry et al., arXiv 1706.06083) in the Euclidean norm on the log-odds
    of the filter, through its picture tower. No user of a service can do this, who only writes
    prompts: it is a bound on what any attack by small changes could reach. Without a filter the
    pictures stay as they are.

    Args:
        radius: Largest Euclidean distance, of all values of a picture in [0, 1] together.
        steps: Gradients taken.
    """

    needs = (GivesPictures,)
    access, adaptive = "sample", True

    def __init__(self, radius: float = 0.5, steps: int = 20):
        if radius <= 0 or steps < 1:
            raise RedactError(
                f"radius is {radius} and steps {steps}; give a radius above 0, at least 1 step."
            )
        self.radius, self.steps = radius, steps

    @property
    def name(self) -> str:
        return f"FilterPixels-{self.radius:g}"

    @property
    def budget(self) -> str:
        return f"{self.steps} steps within {self.radius:g} of the picture"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del base, seed
        guard, seeds = Espresso.outermost(model), [row.seed for row in rows]
        drawn = (guard.inner if guard else model).generate([row.condition for row in rows], seeds=seeds)
        losses = [list[float]() for _ in rows]
        if guard is not None:
            drawn, losses = self.move(guard, drawn)
            drawn = guard.given_out(drawn, seeds)
        return [
            Attempt(sample=sample, queries=self.steps if own else 1, losses=tuple(own))
            for sample, own in zip(drawn, losses, strict=True)
        ]

    def move(self, guard: Espresso, pictures: Sequence[Tensor]) -> tuple[list[Tensor], list[list[float]]]:
        """Pictures as near to passing as they came, and the log-odds above the threshold of each step.

        A picture that passes is not moved on.

        Args:
            guard: The filter.
            pictures: ``(3, height, width)`` in [0, 1], of one size.
        """
        start = torch.stack(list(pictures))
        now, best, lowest = start.clone(), start.clone(), torch.full((len(start),), torch.inf)
        losses: list[list[float]] = [[] for _ in pictures]
        for step in range(self.steps + 1):
            with torch.enable_grad():
                now.requires_grad_()
                loss = guard.anchors.excess(guard.embed(list(now)))
                gradient = torch.autograd.grad(loss.sum(), now)[0]
            loss, now = loss.detach(), now.detach()
            better = loss < lowest
            best, lowest = torch.where(better[:, None, None, None], now, best), torch.minimum(loss, lowest)
            for own, value in zip(losses, loss.tolist(), strict=True):
                own.append(value)
            if step == self.steps or bool((lowest <= 0).all()):
                break
            # two and a half times the way to the border in all, as Madry et al. do
            length = 2.5 * self.radius / self.steps / _norm(gradient).clamp(min=1e-12)
            moved = now - (length * (lowest > 0)).view(-1, 1, 1, 1) * gradient - start
            moved = moved * (self.radius / _norm(moved).clamp(min=1e-12)).clamp(max=1).view(-1, 1, 1, 1)
            now = (start + moved).clamp(0, 1)  # nearer to the start in every value, so within the ball
        return list(best), losses


def _norm(pictures: Tensor) -> Tensor:
    """``(batch,)``."""
    return pictures.flatten(1).norm(dim=1)
