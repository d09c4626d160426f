"""Intervals for what is counted. No modality, no randomness."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch


class Rate(NamedTuple):
    """A share of ``n`` with its interval; all three are ``nan`` for ``n = 0``."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}] (n={self.n})"


def wilson(successes: int, n: int, z: float = 1.959964) -> Rate:
    """Wilson's score interval for a binomial rate (Wilson 1927), by default at 95 %.

    Args:
        successes: From 0 to ``n``.
        n: Number of trials.
        z: Normal quantile of the level.

    >>> rate = wilson(0, 500)
    >>> rate.low, round(rate.high, 4)
    (0.0, 0.0076)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials; give 0 <= successes <= n.")
    if n == 0:
        return Rate(math.nan, math.nan, math.nan, 0)
    p = successes / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at the ends the bound is exact; rounding must not push it past the rate
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Rate(p, low, high, n)


def bootstrap_mean(values: Sequence[float], draws: int = 2000, seed: int = 0) -> Rate:
    """Mean and percentile bootstrap interval at 95 % (Efron 1979); ``nan`` values are left out.

    Args:
        values: One for each independent sample.
        draws: Resamplings.
        seed: Of the resampling.

    >>> bootstrap_mean([1.0, 1.0, float("nan")])
    Rate(value=1.0, low=1.0, high=1.0, n=2)
    """
    kept = torch.tensor([v for v in values if not math.isnan(v)], dtype=torch.float64)
    n = len(kept)
    if n == 0:
        return Rate(math.nan, math.nan, math.nan, 0)
    rows = torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))
    low, high = kept[rows].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    value = kept.mean().item()
    # means of equal values may differ in the last bit; the mean must not fall out of its own interval
    return Rate(value, min(low, value), max(high, value), n)


def paired_bootstrap(
    before: Sequence[float], after: Sequence[float], draws: int = 2000, seed: int = 0
) -> Rate:
    """Mean of ``before - after`` over pairs, with a percentile bootstrap interval at 95 % over the pairs.

    Pairs of which either is ``nan`` are left out.

    Args:
        before: One figure for each pair, e.g. of the base.
        after: Its partner, made from the same condition and seed.
        draws: Resamplings.
        seed: Of the resampling.

    >>> paired_bootstrap([1.0, 1.0, 0.5], [0.0, 0.0, float("nan")])
    Rate(value=1.0, low=1.0, high=1.0, n=2)
    """
    # nan in either makes the difference nan
    return bootstrap_mean([a - b for a, b in zip(before, after, strict=True)], draws, seed)
