"""Answers with a condition taken out, so far as a linear reader could tell."""

from __future__ import annotations

import torch
from torch import Tensor


class Erasure:
    """Moves answers back along what sets a redacted condition apart from those that are kept.

    With ``m`` the mean and ``S`` the covariance of the kept answers, and ``d = g - m`` for a redacted
    answer ``g``, an answer ``t`` becomes ::

        t - max(0, r (t - m)) d      r = S^-1 d / (d S^-1 d)

    ``r`` is the linear discriminant, 1 at ``g`` and 0 at the mean of what is kept, so ``g`` becomes ``m``,
    and what has as little of ``d`` as the mean stays as it is. It is concept erasure by an oblique
    projection (Belrose et al. 2023, LEACE, arXiv 2306.03819), one-sided: nothing is moved that is on the
    far side of the mean.

    Args:
        kept: ``(rows, dim)`` answers that stay, at any places.
        gone: ``(conditions, dim)`` what is erased, one for each condition.
        shrinkage: Of the covariance towards a multiple of the identity, relative to its mean diagonal.
    """

    def __init__(self, kept: Tensor, gone: Tensor, shrinkage: float = 0.1):
        self.mean = kept.mean(0)
        centred = kept - self.mean
        spread = centred.T @ centred / len(kept)
        spread.diagonal().add_(shrinkage * spread.diagonal().mean())
        self.along = gone - self.mean
        found = torch.linalg.solve(spread, self.along.T).T
        # a condition that is the mean itself has nothing to erase
        tiny = torch.finfo(found.dtype).tiny
        self.read = found / (found * self.along).sum(1, keepdim=True).clamp(min=tiny)

    def __call__(self, hidden: Tensor, conditions: Tensor) -> Tensor:
        """``hidden (batch, length, dim)`` without the condition numbered ``conditions (batch,)`` of each row."""
        read, along, mean = (x.to(hidden) for x in (self.read[conditions], self.along[conditions], self.mean))
        share = ((hidden - mean) @ read.unsqueeze(-1)).clamp(min=0)
        return hidden - share * along.unsqueeze(1)
