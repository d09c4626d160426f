"""The search of robust distillation: inputs that bring an encoder's answer near to another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redact_core.adapters.disturbance import Disturbable, unit_length
from redact_core.objectives.distillation import conditioning_distance
from redact_core.support.devices import without_float16
from redact_core.types import Conditioning


def input_pgd(
    student: nn.Module,
    soft: Disturbable,
    victims: Conditioning,
    steps: int,
    radius: float,
    generator: torch.Generator,
    words: float = 0.0,
) -> Tensor:
    """Projected gradient descent towards ``victims``, from a random start.

    Where training runs in float16, the search does not: its gradients do not go through the trainer's
    loss scaler, and unscaled ones underflow to zero.

    Args:
        student: The encoder under attack; its parameters get no gradients.
        soft: The inputs, and how far they may be moved.
        victims: What its answers shall come near to, one for each row.
        steps: Of normalised gradient descent, each 2.5 ``radius`` / ``steps`` long.
        radius: Bound of each place's disturbance, in units of ``soft``.
        generator: Of the start.
        words: Share of the rows that start at random words and end at the nearest ones.

    Returns:
        The disturbance ``(batch, places, dim)``.

    Raises:
        RedactError: Words are wanted of inputs that have none.
    """
    change = soft.random(radius, generator)
    spoken = None
    if words:
        spoken = (torch.rand(len(change), generator=generator) < words).to(change.device).view(-1, 1, 1)
        change = torch.where(spoken, soft.at_points(generator), change)
    step = 2.5 * radius / max(1, steps) * soft.unit.unsqueeze(-1)
    for _ in range(steps):
        with torch.enable_grad(), without_float16(change.device):
            change.requires_grad_()
            loss = conditioning_distance(student(soft.moved(change)), victims).sum()
            (slope,) = torch.autograd.grad(loss, change)
        moved = change.detach() - step * unit_length(slope)
        change = soft.bounded(moved, radius)
        if spoken is not None:  # a word is where it is, however far
            change = torch.where(spoken, moved, change)
    return change if spoken is None else torch.where(spoken, soft.snapped(change), change)
