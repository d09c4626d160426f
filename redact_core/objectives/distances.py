"""How far two conditionings are from one another, and means over groups of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from redact_core.types import Conditioning


def conditioning_distance(a: Conditioning, b: Conditioning) -> Tensor:
    """Mean squared difference of two conditionings over what the generator reads.

    Args:
        a: ``hidden (batch, length, dim)``, ``mask (batch, length)``, maybe ``pooled``.
        b: The same shapes; its mask decides which positions count.

    Returns:
        ``(batch,)``: the mean over dims and read positions, plus the mean over ``pooled`` if both
        have it. No reduction over the batch.
    """
    error = (a.hidden.float() - b.hidden.float()).square().mean(-1)  # (batch, length)
    read = b.mask.to(error.dtype)
    distance = (error * read).sum(1) / read.sum(1).clamp(min=1)
    if a.pooled is not None and b.pooled is not None:
        distance = distance + (a.pooled.float() - b.pooled.float()).square().mean(-1)
    return distance


def group_mean(values: Tensor, group: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean of ``values`` over a group; an empty group gives 0.

    Args:
        values: ``(batch,)``.
        group: ``(batch,)`` bool.
        weight: ``(batch,)`` or ``None`` for equal weights.

    Returns:
        ``()``.
    """
    share = group.to(values.dtype) * (1 if weight is None else weight)
    # not `where(total > 0)`: the gradient of an empty group must be 0, not nan
    return (values * share).sum() / share.sum().clamp(min=torch.finfo(values.dtype).tiny)
