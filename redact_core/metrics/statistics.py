"""Intervals for what is counted. No modality, no randomness."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Z = 1.959964
"""Normal quantile of an interval at 95 %."""


class Rate(NamedTuple):
    """A share of ``n`` with its interval; all three are ``nan`` for ``n = 0``."""

    value: float
    low: float
    high: float
    n: int

    def percent(self, digits: int = 1, *, span: bool = True) -> str:
        """In percent, with the interval.

        >>> wilson(1, 8).percent(), wilson(1, 8).percent(0, span=False)
        ('12.5 % [2.2, 47.1]', '12 %')
        """
        value, low, high = (f"{100 * x:.{digits}f}" for x in self[:3])
        return f"{value} % [{low}, {high}]" if span else f"{value} %"

    def __str__(self) -> str:
        return f"{self.percent()} (n={self.n})"


def wilson(successes: int, n: int, z: float = Z) -> Rate:
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
    return Rate(successes / n, *_interval(successes / n, n, z), n)


def _interval(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of the rate ``p`` in ``n`` samples, which need not be a whole number."""
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at the ends the bound is exact; rounding must not push it past the rate
    return (0.0 if p == 0 else center - half), (1.0 if p == 1 else center + half)


FEWEST_GROUPS = 5
"""With fewer, the spread between groups is not known well enough to say anything of others."""


def wilson_of_groups(successes: Sequence[int], n: Sequence[int], z: float = Z) -> Rate:
    """A rate over groups of samples, such as concepts drawn by chance, with an interval that counts how groups differ.

    Samples of one group resemble one another, so all of them together say less of another group than as many
    independent ones. Wilson's interval is taken with the effective number of samples (Korn & Graubard 1998; Dean &
    Pagano 2015)::

        n* = min(n, p (1 - p) / v  (z / t)^2),   v = k / (k - 1)  sum_i (s_i - p n_i)^2 / n^2

    ``k`` groups, ``v`` the variance of the rate between them, ``t`` Student's quantile with ``k - 1`` degrees of freedom.

    Where nothing or everything succeeds in all groups, or there are fewer than :data:`FEWEST_GROUPS` of them, how
    groups differ is unknown: then it is :func:`wilson` of all samples, which is about these groups alone.

    Args:
        successes: Of each group.
        n: Samples of each group; groups without any do not count.
        z: Normal quantile of the level.

    >>> print(wilson_of_groups([0, 0, 0, 0, 0, 60], [60] * 6), wilson(60, 360))
    16.7 % [1.7, 69.6] (n=360) 16.7 % [13.2, 20.9] (n=360)
    """
    counts = [(hits, size) for hits, size in zip(successes, n, strict=True) if size]
    hits, total, k = sum(h for h, _ in counts), sum(size for _, size in counts), len(counts)
    plain = wilson(hits, total, z)
    spread = sum((h - plain.value * size) ** 2 for h, size in counts)
    if k < FEWEST_GROUPS or not 0 < hits < total or not spread:
        return plain
    from scipy.special import ndtr, stdtrit  # only here: it takes time to import

    variance = k / (k - 1) * spread / total**2
    t = float(stdtrit(k - 1, ndtr(z)))
    effective = min(total, plain.value * (1 - plain.value) / variance * (z / t) ** 2)
    return Rate(plain.value, *_interval(plain.value, effective, z), total)


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


def jackknife_blocks(n: int, groups: int = 20) -> list[Tensor]:
    """What is left of ``n`` rows when one of up to ``groups`` blocks is taken away, for each block.

    Neighbouring rows go together, two by two, so that halves with one of every two stay balanced.
    Fewer than four rows give no blocks.
    """
    pairs = n // 2
    blocks = torch.arange(n) // 2 % max(1, min(groups, pairs))
    return [(blocks != k).nonzero()[:, 0] for k in range(min(groups, pairs))] if pairs > 1 else []


def jackknife_error(values: Sequence[float]) -> float:
    """Standard error of a figure from its values without each block in turn (Tukey 1958).

    >>> round(jackknife_error([1.0, 2.0, 3.0]), 6)  # sqrt((3 - 1) / 3 * 2)
    1.154701
    """
    x = torch.tensor(values, dtype=torch.float64)
    return ((len(x) - 1) / len(x) * (x - x.mean()).square().sum()).sqrt().item()


def auroc(positive: Tensor, negative: Tensor) -> float:
    """Probability that a positive score exceeds a negative one, ties counted half (Mann-Whitney 1947).

    >>> auroc(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))
    0.875
    """
    gap = positive[:, None] - negative[None, :]
    return ((gap > 0).double() + 0.5 * (gap == 0).double()).mean().item()


def equal_error_rate(positive: Tensor, negative: Tensor) -> float:
    """Where as many positives are missed as negatives are taken: the mean of both rates there.

    The threshold goes through all scores; where no rates are equal, that of the least gap is used.

    >>> equal_error_rate(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([0.1, 0.2, 0.4]))
    0.3333333333333333
    """
    scores = torch.cat([positive, negative]).double()
    # just above a score, that score is missed
    missed = (positive.double()[None] <= scores[:, None]).double().mean(1)
    taken = (negative.double()[None] > scores[:, None]).double().mean(1)
    best = (missed - taken).abs().argmin()
    return ((missed[best] + taken[best]) / 2).item()
