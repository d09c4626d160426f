"""The search of robust distillation: inputs that bring an encoder's answer near to another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from redact_core.adapters.disturbance import Disturbable, unit_length
from redact_core.errors import RedactError
from redact_core.objectives.distances import conditioning_distance
from redact_core.support.devices import without_float16
from redact_core.support.whole_numbers import WholeNumbers
from redact_core.types import Conditioning


@dataclass(frozen=True)
class InputAttack(WholeNumbers):
    """How long and how far a search goes.

    Args:
        steps: Of normalised gradient descent, each 2.5 ``radius`` / ``steps`` long.
        radius: Bound of each place's disturbance, in the adapter's unit.
        words: Share of the rows that start at random words and end at the nearest ones.

    Raises:
        RedactError: A number is out of range.
    """

    steps: int = 4
    radius: float = 0.1
    words: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("radius", self.radius), ("steps", self.steps)):
            if not 0 <= value < float("inf"):
                raise RedactError(f"{name} is {value}; give a finite number of at least 0.")
        if not 0 <= self.words <= 1:
            raise RedactError(f"words is {self.words}; give a part of the attacked rows, 0 to 1.")


def input_pgd(
    student: nn.Module,
    soft: Disturbable,
    victims: Conditioning,
    attack: InputAttack,
    generator: torch.Generator,
) -> Tensor:
    """Projected gradient descent towards ``victims``, from a random start.

    Where training runs in float16, the search does not: its gradients do not go through the trainer's
    loss scaler, and unscaled ones underflow to zero.

    Args:
        student: The encoder under attack; its parameters get no gradients.
        soft: The inputs, and how far they may be moved.
        victims: What its answers shall come near to, one for each row.
        attack: Its steps and bounds.
        generator: Of the start.

    Returns:
        The disturbance ``(batch, places, dim)``.

    Raises:
        RedactError: Words are wanted of inputs that have none.
    """
    change = soft.random(attack.radius, generator)
    spoken = None
    if attack.words:
        spoken = (
            (torch.rand(len(change), generator=generator) < attack.words).to(change.device).view(-1, 1, 1)
        )
        change = torch.where(spoken, soft.at_points(generator), change)
    step = 2.5 * attack.radius / max(1, attack.steps) * soft.unit.unsqueeze(-1)
    for _ in range(attack.steps):
        with torch.enable_grad(), without_float16(change.device):
            change.requires_grad_()
            loss = conditioning_distance(student(soft.moved(change)), victims).sum()
            (slope,) = torch.autograd.grad(loss, change)
        moved = change.detach() - step * unit_length(slope)
        change = soft.bounded(moved, attack.radius)
        if spoken is not None:  # a word is where it is, however far
            change = torch.where(spoken, moved, change)
    return change if spoken is None else torch.where(spoken, soft.snapped(change), change)
