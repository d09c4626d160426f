"""Intervals for what is counted. No modality, no randomness."""

import math
from typing import NamedTuple


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
