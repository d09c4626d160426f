"""The last linear map of an encoder, taken by itself: what methods in closed form change."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def _as_it_is(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class LastLinear:
    """A linear map whose result is added into :attr:`output`, from which alone an answer follows, place by place."""

    linear: nn.Module
    """With ``weight (dim, features)``, maybe with a last dimension of 1, and maybe ``bias (dim,)``."""
    output: nn.Module
    """Gives ``(batch, length, dim)``: the map's own result, or that plus what does not depend on the map."""
    layout: Callable[[Tensor], Tensor] = _as_it_is
    """Of the map's input, and of the output -> ``(batch, length, features or dim)``."""

    @property
    def bias(self) -> Tensor | None:
        return getattr(self.linear, "bias", None)

    @torch.no_grad()
    def get(self) -> Tensor:
        """``(dim, features)`` a copy of the map; its bias, where it has one, is the last column."""
        weight = self.linear.get_parameter("weight").flatten(1)
        return weight.clone() if self.bias is None else torch.cat([weight, self.bias.unsqueeze(1)], 1)

    @torch.no_grad()
    def set(self, to: Tensor) -> None:
        """Put ``to (dim, features)`` in the place of the map."""
        weight = self.linear.get_parameter("weight")
        if self.bias is not None:
            self.bias.copy_(to[:, -1])
            to = to[:, :-1]
        weight.copy_(to.reshape(weight.shape))

    @contextmanager
    def last_pass(self) -> Generator[LastPass]:
        """While open, every pass of the encoder leaves its features and output behind."""
        last_pass = LastPass(self)
        hooks = [
            self.linear.register_forward_pre_hook(last_pass.keep_features),
            self.output.register_forward_hook(last_pass.keep_output),
        ]
        try:
            yield last_pass
        finally:
            for hook in hooks:
                hook.remove()


class LastPass:
    """What the last pass of an encoder left at its last linear map."""

    features: Tensor
    """``(batch, length, features)``; with a last column of ones where the map has a bias."""
    output: Tensor
    """``(batch, length, dim)``."""

    def __init__(self, last_linear: LastLinear):
        self._last_linear = last_linear

    def keep_features(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """A hook before the map."""
        del module
        found = self._last_linear.layout(inputs[0].detach())
        if self._last_linear.bias is not None:
            found = torch.cat([found, torch.ones_like(found[..., :1])], -1)
        self.features = found

    def keep_output(self, module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        """A hook behind the output."""
        del module, inputs
        first = output[0] if isinstance(output, tuple) else output
        self.output = self._last_linear.layout(first.detach())


class Ridge:
    """Weighted least squares with a ridge, from sums alone: rows are added and forgotten.

    Minimises ``sum_g share_g E_g |B h - d|^2 + ridge * m |B|^2`` over ``B (dim, features)``, with ``E_g``
    the weighted mean over the rows of group g and ``m`` the mean of the features' second moments.

    Args:
        features: Of h.
        dim: Of d.
        device: Where the sums are kept, in double precision.
    """

    def __init__(self, features: int, dim: int, device: torch.device):
        self._squares: dict[str, Tensor] = {}
        self._products: dict[str, Tensor] = {}
        self._weight: dict[str, float] = {}
        self._wanted: dict[str, float] = {}
        self._shape, self._device = (features, dim), device

    def add(self, group: str, features: Tensor, change: Tensor | None, weight: Tensor) -> None:
        """Rows of a group.

        Args:
            group: Its name.
            features: ``(batch, length, features)``.
            change: ``(batch, length, dim)`` wanted; ``None`` is zero.
            weight: ``(batch, length)``, 0 where nothing is wanted.
        """
        if group not in self._weight:
            n, dim = self._shape
            self._squares[group] = torch.zeros(n, n, dtype=torch.float64, device=self._device)
            self._products[group] = torch.zeros(dim, n, dtype=torch.float64, device=self._device)
            self._weight[group], self._wanted[group] = 0.0, 0.0
        h = features.flatten(0, 1)
        weighted = h * weight.flatten().unsqueeze(1)
        self._squares[group] += (weighted.T @ h).double()
        if change is not None:
            self._products[group] += (change.flatten(0, 1).T @ weighted).double()
            self._wanted[group] += (change.square().sum(-1) * weight).sum().item()
        self._weight[group] += weight.sum().item()

    def solve(self, share: Mapping[str, float], ridge: float) -> Tensor:
        """``B (dim, features)``, double precision.

        Args:
            share: Weight of each group; groups without rows, or that are not named, do not count.
            ridge: Relative to the mean second moment of the features.
        """
        n, dim = self._shape
        squares = torch.zeros(n, n, dtype=torch.float64, device=self._device)
        products = torch.zeros(dim, n, dtype=torch.float64, device=self._device)
        for group, weight in self._weight.items():
            if weight > 0 and group in share:
                squares += share[group] / weight * self._squares[group]
                products += share[group] / weight * self._products[group]
        level = squares.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
        squares.diagonal().add_(ridge * level)
        return torch.linalg.solve(squares, products.T).T

    def left(self, group: str, change: Tensor) -> float:
        """Share of the squared change that the rows of ``group`` want that ``change (dim, features)`` leaves; 0 if they want none."""
        wanted = self._wanted.get(group, 0.0)
        if wanted == 0:
            return 0.0
        reached = (change @ self._squares[group] - 2 * self._products[group]) * change
        return max(0.0, 1 + reached.sum().item() / wanted)
