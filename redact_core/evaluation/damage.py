"""Damage against semantic distance: does a redaction harm what is near to it more than what is far?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch

from redact_core.evaluation.evidence import BASE
from redact_core.metrics.scorer import Metric
from redact_core.metrics.statistics import bootstrap_mean
from redact_core.support.strict_json import without_nan

LABEL = "distance"
"""Label of a retained row: how far what it asks for is from what was redacted, by the untouched base."""


@dataclass(frozen=True)
class Point:
    """The mean damage of some retained rows of like distance."""

    distance: float
    damage: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Curve:
    """Damage by one metric, nearest first, with the slope of a straight line through all rows."""

    model: str
    task: str
    metric: str
    points: tuple[Point, ...]
    slope: float
    """Damage by unit of distance; negative where the nearest suffer most."""
    slope_low: float
    slope_high: float
    n: int

    def as_json(self) -> dict[str, Any]:
        """Plain values; ``nan`` is ``None``."""
        return without_nan(asdict(self))


def damage_curves(
    rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric], bins: int = 6
) -> list[Curve]:
    """A curve for each redacted model, task and metric that has a wish for retained groups.

    Damage is the base's score less the redacted model's on the same condition and seed where the
    wish is *as base*, its negative where it is *at most base*, and the redacted model's score itself
    where it is *low* (distances to the base's own sample). Points hold equally many rows; intervals are bootstrap intervals at 95 %.

    Args:
        rows: From :meth:`redact_core.evaluation.evidence.Evidence.rows`.
        metrics: Of the scorers.
        bins: Points of a curve, at most one for each distance.
    """
    base = {row["index"]: row["scores"] for row in rows if row["model"] == BASE}
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        distance = row["labels"].get(LABEL)
        if row["model"] == BASE or row["redacted"] or distance is None:
            continue
        for name, value in row["scores"].items():
            before = base.get(row["index"], {}).get(name, math.nan)
            damage = _damage(metrics[name].retained if name in metrics else None, before, value)
            if damage is not None and not math.isnan(damage):
                pair = (float(distance), damage)
                found.setdefault((row["model"], row["task"], name), []).append(pair)
    return [_curve(*key, sorted(pairs), bins) for key, pairs in found.items() if len(pairs) > 2]


def slope(
    pairs: Sequence[tuple[float, float]], draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Slope of the least-squares line through ``(x, y)`` with its bootstrap interval at 95 %.

    All three are ``nan`` where all x are equal.

    >>> [round(v, 6) for v in slope([(0.0, 1.0), (1.0, 0.5), (2.0, 0.0)] * 9)]
    [-0.5, -0.5, -0.5]
    """
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    value = _slope(x[None], y[None]).item()
    index = torch.randint(len(x), (draws, len(x)), generator=torch.Generator().manual_seed(seed))
    drawn = _slope(x[index], y[index])
    drawn = drawn[drawn.isfinite()]
    if math.isnan(value) or not len(drawn):
        return math.nan, math.nan, math.nan
    low, high = drawn.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return value, min(low, value), max(high, value)


def _slope(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(1, keepdim=True)
    return (x * y).sum(1) / x.square().sum(1)


def _damage(wish: str | None, before: float, after: float) -> float | None:
    if wish is None:
        return None
    return {"as base": before - after, "at most base": after - before, "low": after}.get(wish)


def _curve(model: str, task: str, metric: str, pairs: list[tuple[float, float]], bins: int) -> Curve:
    bins = max(1, min(bins, len({x for x, _ in pairs}), len(pairs)))
    edges = [round(k * len(pairs) / bins) for k in range(bins + 1)]
    points: list[Point] = []
    for first, last in pairwise(edges):
        part = pairs[first:last]
        mean = bootstrap_mean([y for _, y in part])
        points.append(Point(sum(x for x, _ in part) / len(part), mean.value, mean.low, mean.high, mean.n))
    return Curve(model, task, metric, tuple(points), *slope(pairs), len(pairs))
