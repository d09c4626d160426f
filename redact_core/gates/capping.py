"""The cap of a gate: nothing is much more like the redacted voice than those who stay are.

Among many people, somebody who stays is always nearer than the redacted voice to what a gate lets through. Among few it is not so:
somebody who stays and is unusually like the voice is named as it there, and an attacker who reaches the threshold of the gate is such
a person. So what lies above the cap is moved to the side until it is no more like the voice than many strangers are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

_SHARE = 0.98
"""Of the largest share of everybody's mean that leaves the bound as it is."""
_HALVINGS = 30


def aside_of(voice: Tensor, middles: Tensor, exact: Tensor, high: float) -> Tensor:
    """``(dim,)`` where an embedding is moved away from: the voice, less as much of everybody's mean as the bound allows.

    Moving away from the voice alone lowers the likeness to everybody; that to others shall stay. With the
    direction ``d = v - s u``, ``u`` the mean of those who stay, two things hold for every embedding, whatever it is. Its likeness to
    the voice falls all the way from ``high`` on, or from less: with ``b`` the length of what of ``u`` is at right angles to
    ``v`` and ``h`` for ``high``, ``s (b h + (u . v) sqrt(1 - h^2)) < sqrt(1 - h^2)`` suffices. And its product with the voice falls at least as
    much as that with anybody who stays.

    Args:
        voice: ``(dim,)`` of length 1.
        middles: ``(people, dim)`` of those who stay, of length 1.
        exact: ``(n, dim)`` conditions that stay, of length 1.
        high: Likeness to the voice of what is moved.
    """
    mean = middles.mean(0)
    along = (mean @ voice).item()
    across = max(0.0, mean.square().sum().item() - along**2) ** 0.5
    height = max(0.0, min(high, 1.0))
    root = (1 - height**2) ** 0.5
    share = 1.0 if height == 0 else root / (across * height + max(along, 0.0) * root + 1e-12)
    rows = torch.cat([middles, exact])
    room, gap = 1 - rows @ voice, along - rows @ mean
    held = gap > 1e-6
    if held.any():
        share = min(share, (room[held] / gap[held]).min().item())
    return voice - _SHARE * min(1.0, share) * mean


def steps_to(points: Tensor, voice: Tensor, aside: Tensor, cap: float) -> Tensor:
    """``(n,)`` how many of ``aside`` bring each of ``points (n, dim)``, of length 1 and above ``cap``, down to it; 1 at most."""
    low, high = torch.zeros(len(points)), torch.ones(len(points))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = normalize(points - middle[:, None] * aside, dim=1) @ voice <= cap
        low, high = torch.where(below, low, middle), torch.where(below, middle, high)
    return high
