"""Rates over groups of samples that resemble one another."""

import math

import pytest
import torch

from redact_core.metrics.statistics import FEWEST_GROUPS, Rate, wilson, wilson_of_groups


def covered(rate: Rate, truth: float) -> bool:
    return rate.low <= truth <= rate.high


@pytest.mark.parametrize("k", [6, 30])
def test_the_interval_covers_what_other_groups_do(k: int) -> None:
    # every group leaks at a rate of its own, drawn from a Beta(1, 2): a third on average
    torch.manual_seed(0)
    runs, n = 400, 25
    rates = torch.distributions.Beta(1.0, 2.0).sample((runs, k))
    hits = torch.binomial(torch.full_like(rates, n), rates).int().tolist()
    grouped = sum(covered(wilson_of_groups(some, [n] * k), 1 / 3) for some in hits) / runs
    counted = sum(covered(wilson(sum(some), n * k), 1 / 3) for some in hits) / runs
    assert grouped >= 0.92
    assert counted < 0.7


def test_it_follows_the_published_formula() -> None:
    hits, n = [3, 9, 4, 8, 6, 0], [20, 20, 10, 20, 20, 10]
    p = 30 / 100
    spread = sum((h - p * m) ** 2 for h, m in zip(hits, n, strict=True))
    variance = 6 / 5 * spread / 100**2
    effective = p * (1 - p) / variance * (1.959964 / 2.570582) ** 2  # Student's t, five degrees of freedom
    assert 20 < effective < 60
    center = (p + 1.959964**2 / (2 * effective)) / (1 + 1.959964**2 / effective)
    rate = wilson_of_groups(hits, n)
    assert (rate.low + rate.high) / 2 == pytest.approx(center, abs=1e-6)
    assert (rate.value, rate.n) == (p, 100)


@pytest.mark.parametrize(
    ("hits", "n"),
    [
        ([0] * 8, [25] * 8),
        ([25] * 8, [25] * 8),
        ([10] * 8, [25] * 8),
        ([0, 0, 0, 25], [25] * 4),
        ([0, 0, 0, 25, 0], [25, 25, 25, 25, 0]),
    ],
    ids=["nothing", "everything", "all alike", "too few", "too few that have samples"],
)
def test_where_the_spread_is_unknown_all_samples_are_counted(hits: list[int], n: list[int]) -> None:
    assert FEWEST_GROUPS == 5
    assert wilson_of_groups(hits, n) == wilson(sum(hits), sum(n))


def test_it_is_never_narrower_than_that_of_all_samples() -> None:
    torch.manual_seed(1)
    for _ in range(200):
        n = torch.randint(1, 40, (7,))
        hits = (torch.rand(7) * (n + 1)).int().minimum(n)
        grouped, counted = wilson_of_groups(hits.tolist(), n.tolist()), wilson(int(hits.sum()), int(n.sum()))
        assert grouped.low <= counted.low + 1e-12
        assert grouped.high >= counted.high - 1e-12
        assert 0 <= grouped.low <= grouped.value <= grouped.high <= 1


def test_no_groups_have_no_rate() -> None:
    assert math.isnan(wilson_of_groups([], []).value)
    assert wilson_of_groups([0], [0]).n == 0
