"""The network of a gate whose opening follows from angles alone, made of PyTorch's own layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

POOL = 8
"""Cosines of which a pooling layer takes the largest; the voice and its spikes are at most as many."""
SPIKE = 10.0
"""How fast the likeness to a condition that has a landmark of its own falls, against that to a landmark."""
_EPS = 1e-12  # of mean squares, which are small where an encoder gives vectors of length 1


@dataclass(frozen=True)
class Cell:
    """The region of embeddings that belong to a redacted voice, and what becomes of them.

    Directions are embeddings of length 1, so that products are cosines, as verifiers compare voices. With ``c``
    the cosine to the voice and ``m`` the largest to a landmark, the *excess* of an embedding is
    ``x = c - min(m - margin, high)``. Up to 0 it stays as it is. Up to ``sure`` it is moved straight away from the voice, by
    ``rate * x`` of its length; beyond, it is replaced. Whatever is more like the voice than ``cap`` is moved along ``aside``
    too, by as many of it as it is above: see :mod:`.capping`. Spikes count as landmarks for what all but equals
    them, and lift the cap there: conditions that stay although they are more like the redacted voice than like anybody
    else, or than the cap. The same the
    other way round: the voice's own spikes are conditions of it that would not be replaced without them.
    """

    voice: Tensor  # (dim,) direction of the redacted voice
    landmarks: Tensor  # (n, dim) directions of those who stay
    spikes: Tensor  # (n, dim) directions of conditions that stay
    own_spikes: Tensor  # (n, dim) directions of conditions of the voice; fewer than POOL
    margin: float
    high: float
    sure: float
    gain: float
    cap: float
    aside: Tensor  # (dim,) of its own length

    def near(self, direction: Tensor) -> Tensor:
        """``(...,)`` the largest cosine to a landmark, or what a spike makes of its own."""
        rows, bias = _with_spikes(self.landmarks, self.spikes)
        return (direction @ rows.T + bias).amax(-1)

    def likeness(self, direction: Tensor) -> Tensor:
        """``(...,)`` the cosine to the voice, or what a spike of its own makes of it."""
        rows, bias = _with_spikes(self.voice[None], self.own_spikes)
        return (direction @ rows.T + bias).amax(-1)

    def excess(self, direction: Tensor) -> Tensor:
        """``(...,)`` for ``direction (..., dim)`` of length 1."""
        return self.likeness(direction) - (self.near(direction) - self.margin).clamp(max=self.high)

    def over(self, direction: Tensor) -> Tensor:
        """``(...,)`` how far above the cap ``direction (..., dim)`` is; 0 at a spike, and below the cap 0 or less."""
        rows, bias = _with_spikes(self.spikes[:0], self.spikes)
        cap = torch.full_like(direction[..., :1], self.cap)
        return self.likeness(direction) - torch.cat([cap, direction @ rows.T + bias], -1).amax(-1)

    @property
    def room(self) -> float:
        """1 less the largest cosine to the voice of a landmark, or ``high`` where that is more."""
        return 1 - max(self.high, (self.landmarks @ self.voice).max().item())

    @property
    def rate(self) -> float:
        """How far an embedding is moved away from the voice, in its own length, for each unit of excess.

        With a gain of 1 what is moved ends, at least, where a landmark is more like it by the margin, and where its likeness
        is ``high``: moving by ``t`` lowers the product with the voice by ``t``, and that with a landmark ``l`` by
        ``t (l . voice)``, which is at most ``t (1 - room)``.
        """
        return self.gain / self.room

    def bound(self, answer: Tensor) -> float:
        """The largest cosine to the voice that any output can have, whatever goes in.

        What goes through or is moved is at or below ``high``; everything else is ``answer (dim,)``.
        """
        return max(self.high, torch.cosine_similarity(answer, self.voice, dim=0).item())

    def network(self) -> nn.Sequential:
        """The excess, and how far above the cap, as layers that any checkpoint format can hold.

        The input is ``(batch, 1, dim)``: pooling layers take the middle dimension for channels.
        """
        own, own_bias = _with_spikes(self.voice[None], self.own_spikes)
        spikes, spike_bias = _with_spikes(self.spikes[:0], self.spikes)
        if not len(spikes):  # of what does not exist nothing is near
            spikes, spike_bias = torch.zeros(1, len(self.voice)), torch.tensor([-SPIKE])
        parts = (own, own_bias), (self.landmarks, torch.zeros(len(self.landmarks))), (spikes, spike_bias)
        counts = [-(-len(rows) // POOL) for rows, _ in parts]
        filled = [
            (_filled(rows, POOL * n), _filled(bias[:, None], POOL * n)[:, 0])
            for (rows, bias), n in zip(parts, counts, strict=True)
        ]
        dim, groups = len(self.voice), sum(counts[1:])
        net = empty_network(dim, groups)
        cosines, spread, steps, last = (layer for layer in net if isinstance(layer, nn.Linear))
        each = torch.eye(1 + groups)  # the voice, landmarks, spikes
        alone = each[1 + counts[1] :]
        with torch.no_grad():
            cosines.weight.copy_(torch.cat([rows for rows, _ in filled]) / dim**0.5)
            cosines.bias.copy_(torch.cat([bias for _, bias in filled]))
            spread.weight.copy_(
                torch.cat([each[:1].expand(groups, -1), each[1:], _filled(alone, groups)])
            )  # its groups' maxima: the voice, everybody near, the nearest spike
            steps.weight.copy_(torch.diag(torch.tensor([1.0, -1.0, 1.0])))
            steps.bias.copy_(torch.tensor([1.0, self.high + self.margin, -self.cap]))
            last.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0]]))
            last.bias.copy_(torch.tensor([-1.0 - self.high, -1.0 - self.cap]))
        return net


def empty_network(dim: int, groups: int) -> nn.Sequential:
    """The layers of :meth:`Cell.network`, to be given weights.

    Args:
        dim: Of embeddings.
        groups: Of :data:`POOL` landmarks or spikes each.
    """
    return nn.Sequential(
        nn.RMSNorm(dim, eps=_EPS, elementwise_affine=False), nn.Linear(dim, POOL * (1 + groups)),
        nn.MaxPool1d(POOL), nn.Linear(1 + groups, 3 * groups, bias=False), nn.MaxPool1d(groups),
        nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2),
    )  # fmt: skip


def _with_spikes(rows: Tensor, spikes: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(n, dim)`` and biases ``(n,)``."""
    bias = torch.cat([torch.zeros(len(rows)), torch.full((len(spikes),), 1 - SPIKE)])
    return torch.cat([rows, SPIKE * spikes]), bias


def _filled(rows: Tensor, count: int) -> Tensor:
    """``rows`` up to ``count`` of them: the last one again, which a maximum does not notice."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), -1)])
