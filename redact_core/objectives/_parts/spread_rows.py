"""A few rows that stand for all of them, in measures of a training."""

from __future__ import annotations

import torch
from torch import Tensor


def spread_rows(count: int, limit: int) -> Tensor:
    """``(rows,)`` int64: at most ``limit`` of ``count`` rows, evenly from the first to the last."""
    return torch.linspace(0, count - 1, min(limit, count)).long().unique()
