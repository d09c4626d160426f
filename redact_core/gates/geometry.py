"""The network of a gate whose opening follows from angles alone, made of PyTorch's own layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

POOL = 8
"""Voices that one gate can hold; landmarks are pooled in groups of as many."""
SPIKE = 10.0
"""How fast the likeness to a kept condition that has a landmark of its own falls, against that to a landmark."""
_EPS = 1e-12  # of mean squares, which are small where an encoder gives vectors of length 1


@dataclass(frozen=True)
class Cell:
    """The region of embeddings that belong to a redacted voice.

    Directions are embeddings of length 1, so that products are cosines, as verifiers compare voices. With ``c``
    the largest cosine to a voice and ``m`` the largest to a landmark, an embedding belongs to it
    where ``c > threshold = min(max(m - margin, low), high)``. Spikes count as landmarks for what all but equals
    them: conditions that stay although they are more like the redacted voice than like anybody else. The same the
    other way round: the voice's own spikes are conditions of it that are more like somebody else.
    """

    voices: Tensor  # (1 to POOL, dim) directions of the redacted voice
    landmarks: Tensor  # (n, dim) directions of those who stay
    spikes: Tensor  # (n, dim) directions of conditions that stay
    own_spikes: Tensor  # (n, dim) directions of conditions of the voice; with ``voices`` at most POOL
    margin: float
    low: float
    high: float

    def threshold(self, direction: Tensor) -> Tensor:
        """``(...,)`` for ``direction (..., dim)`` of length 1."""
        return (self.near(direction) - self.margin).clamp(self.low, self.high)

    def near(self, direction: Tensor) -> Tensor:
        """``(...,)`` the largest cosine to a landmark, or what a spike makes of its own."""
        rows, bias = _with_spikes(self.landmarks, self.spikes)
        return (direction @ rows.T + bias).amax(-1)

    def likeness(self, direction: Tensor) -> Tensor:
        """``(...,)`` the largest cosine to a voice, or what a spike makes of its own."""
        rows, bias = _with_spikes(self.voices, self.own_spikes)
        return (direction @ rows.T + bias).amax(-1)

    def excess(self, direction: Tensor) -> Tensor:
        """``(...,)`` likeness less threshold: above 0 the gate is open."""
        return self.likeness(direction) - self.threshold(direction)

    def bound(self, answer: Tensor) -> float:
        """The largest cosine to the voice's first direction that any output can have, whatever goes in.

        What goes through is below the threshold, and that never exceeds ``high``; everything else is ``answer (dim,)``.
        """
        return max(self.high, torch.cosine_similarity(answer, self.voices[0], dim=0).item())

    def network(self) -> nn.Sequential:
        """The excess as layers that any checkpoint format can hold.

        The input is ``(batch, 1, dim)``: pooling layers take the middle dimension for channels.
        """
        own, own_bias = _with_spikes(self.voices, self.own_spikes)
        kept, bias = _with_spikes(self.landmarks, self.spikes)
        dim, groups = self.voices.shape[1], -(-len(kept) // POOL)
        rows = torch.cat([_filled(own, POOL), _filled(kept, POOL * groups)])
        biases = torch.cat(
            [_filled(own_bias[:, None], POOL)[:, 0], _filled(bias[:, None], POOL * groups)[:, 0]]
        )
        net = empty_network(dim, groups)
        cosines, spread, above, below, last = (layer for layer in net if isinstance(layer, nn.Linear))
        with torch.no_grad():
            cosines.weight.copy_(rows / dim**0.5)
            cosines.bias.copy_(biases)
            spread.weight.copy_(
                torch.cat([torch.eye(1 + groups)[:1].expand(groups, -1), torch.eye(1 + groups)[1:]])
            )
            above.weight.copy_(torch.eye(2))
            above.bias.copy_(torch.tensor([1.0, -self.margin - self.low]))
            below.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
            below.bias.copy_(torch.tensor([0.0, self.high - self.low]))
            last.weight.copy_(torch.tensor([[1.0, 1.0]]))
            last.bias.copy_(torch.tensor([-1.0 - self.high]))
        return net


def empty_network(dim: int, groups: int) -> nn.Sequential:
    """The layers of :meth:`Cell.network`, to be given weights.

    Args:
        dim: Of embeddings.
        groups: Of :data:`POOL` landmarks each.
    """
    return nn.Sequential(
        nn.RMSNorm(dim, eps=_EPS, elementwise_affine=False), nn.Linear(dim, POOL * (1 + groups)),
        nn.MaxPool1d(POOL), nn.Linear(1 + groups, 2 * groups, bias=False), nn.MaxPool1d(groups),
        nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1),
    )  # fmt: skip


def _with_spikes(rows: Tensor, spikes: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(n, dim)`` and biases ``(n,)``."""
    bias = torch.cat([torch.zeros(len(rows)), torch.full((len(spikes),), 1 - SPIKE)])
    return torch.cat([rows, SPIKE * spikes]), bias


def _filled(rows: Tensor, count: int) -> Tensor:
    """``rows`` up to ``count`` of them: the last one again, which a maximum does not notice."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), -1)])
