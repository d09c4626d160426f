"""Low-rank changes of weights while they are trained, and folded in afterwards."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """``weight + up @ down``, of rank ``rank`` (Hu et al. 2022, LoRA); no change at the start.

    Convolutions count as matrices ``(out, in * kernel)``.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator):
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        down = torch.randn(rank, columns, generator=generator) / columns**0.5
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(encoder: nn.Module, rank: int, generator: torch.Generator) -> list[nn.Parameter]:
    """Freeze ``encoder`` and give its linear and convolutional layers a change of rank ``rank`` each.

    Layers without gradients, such as fixed filter banks, and those with another parametrisation get none.

    Returns:
        What is to be trained.
    """
    layers = [
        module
        for module in encoder.modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        and module.weight.requires_grad
        and not parametrize.is_parametrized(module)
    ]
    encoder.requires_grad_(False)
    changes = [LowRank(layer.weight.detach(), rank, generator) for layer in layers]
    for layer, change in zip(layers, changes, strict=True):
        parametrize.register_parametrization(layer, "weight", change)
    return [parameter for change in changes for parameter in change.parameters()]


@torch.no_grad()
def folded(encoder: nn.Module, plain: nn.Module) -> nn.Module:
    """A copy of ``plain`` with the weights that ``encoder``, its trained copy, computes with.

    Parametrisations of a copied module cannot be removed: torch keeps them in a class that the
    copies share.
    """
    result = copy.deepcopy(plain)
    for name, module in encoder.named_modules():
        if parametrize.is_parametrized(module, "weight") and _ours(module):
            result.get_parameter(f"{name}.weight").copy_(torch.as_tensor(module.weight))
    return result


def _ours(module: nn.Module) -> bool:
    return any(isinstance(part, LowRank) for part in module.parametrizations["weight"])  # type: ignore[index]
