"""The plots of a report: rates and means by group, curves by step or budget, damage by distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.transforms import blended_transform_factory

from redact_core.evaluation.damage import Curve
from redact_core.evaluation.damage import Point as DamagePoint
from redact_core.metrics.statistics import Rate
from redact_core.reporting.drawing import RULE, SOFT, Drawing, Series, printable, ticks, with_settings
from redact_core.reporting.formats import MISSING, show, span

Point = tuple[float, float]

_WIDTH = 340.0
_HEAD, _LANE, _GAP, _FOOT = 20.0, 18.0, 12.0, 26.0
_LETTERS = 34
_TIPS = 24
"""Marks of a line that can be pointed at; more would overlap on a phone."""


class Dots(NamedTuple):
    """One group of a dot-and-whisker plot; what is missing is ``None``."""

    group: str
    base: float | None
    redacted: float | None
    low: float | None
    high: float | None
    n: int


@with_settings
def dots_and_whiskers(title: str, rows: Sequence[Dots], rate: bool, name: str) -> str:
    """A plot of base against redacted, one group below the other, each figure in a line of its own.

    Args:
        title: What is plotted; read aloud, not seen.
        rows: Finite figures.
        rate: Whether the axis is in percent.
        name: Prefix of the element ids, unique in the page.
    """
    block = _HEAD + 2 * _LANE + _GAP
    bottom = len(rows) * block
    drawing = Drawing(_WIDTH, bottom + _FOOT)
    axes = drawing.axes(70, 0, 272, bottom)
    axes.set_ylim(bottom, 0)
    axes.yaxis.set_visible(False)
    ticks(axes.xaxis, 3, rate=rate)
    values = [v for row in rows for v in row[1:5] if v is not None]
    # from zero, so that lengths can be compared
    ends = axes.xaxis.get_major_locator().tick_values(*_ends(values, rate))
    axes.set_xlim(ends[0], ends[-1])
    beside = blended_transform_factory(drawing.figure.transFigure, axes.transData)
    for i, row in enumerate(rows):
        top = i * block
        group = printable(row.group)
        group = group if len(group) <= _LETTERS else group[: _LETTERS - 1].rstrip() + "…"
        axes.text(0, top + 14, group, transform=beside, weight="bold", fontsize=12.5)
        axes.text(1, top + 14, f"n = {row.n}", transform=beside, ha="right", color=SOFT)
        lanes: tuple[tuple[Series, float | None], ...] = (("base", row.base), ("redacted", row.redacted))
        for lane, (series, value) in enumerate(lanes):
            y = top + _HEAD + (lane + 0.5) * _LANE
            axes.text(0, y + 4, series, transform=beside, color=SOFT)
            axes.text(1, y + 4, show(value, rate), transform=beside, ha="right")
            interval = ""
            if series == "redacted" and row.low is not None and row.high is not None:
                drawing.line(axes, series, [row.low, row.high], [y, y], marker="|", markersize=8)
                interval = f"\ninterval {span(row.low, row.high, rate)}"
            if value is not None:
                drawing.dot(axes, series, value, y)
                drawing.tip(axes, series, value, y, f"{series} {show(value, rate)}, n = {row.n}{interval}")
    return drawing.svg(title, _describe(rows, rate), name)


@with_settings
def curves(
    title: str,
    lines: Mapping[Series, Sequence[Point]],
    name: str,
    *,
    rate: bool = False,
    across: str = "step",
) -> str:
    """A plot of ``base`` and ``redacted``, whichever of the two ``lines`` holds.

    Args:
        title: What is plotted; read aloud, not seen.
        lines: ``base`` or ``redacted`` -> finite points, at least one in all.
        name: Prefix of the element ids, unique in the page.
        rate: Whether the vertical axis is in percent, from 0 to 100.
        across: What the horizontal axis counts.
    """
    drawing = Drawing(_WIDTH, 176)
    axes = drawing.axes(52, 12, 326, 132)
    axes.set_xlabel(printable(across), labelpad=3)
    ticks(axes.xaxis, 4)
    ticks(axes.yaxis, 4, rate=rate)
    if rate:
        axes.set_ylim(0, 1)
    some: dict[Series, Sequence[Point]] = {
        series: line[:: math.ceil(len(line) / _TIPS)] for series, line in lines.items() if line
    }
    said: list[str] = []
    for series, points in some.items():
        x, y = zip(*lines[series], strict=True)
        drawing.line(axes, series, x, y)
        said.append(f"{series}: {show(y[0], rate)} at {x[0]:g} to {show(y[-1], rate)} at {x[-1]:g}")
        for point in points if len(points) == len(x) else ():
            drawing.dot(axes, series, *point, size=6)
    axes.margins(0.02, 0.06)
    axes.autoscale_view(scaley=not rate)
    for series, points in some.items():
        for at, value in points:
            drawing.tip(axes, series, at, value, f"{series} {show(value, rate)}\n{across} {at:g}", 14)
    return drawing.svg(title, "; ".join(said) + ".", name)


@with_settings
def damage_plot(curve: Curve, rate: bool, name: str) -> str:
    """Points with whiskers, nearest on the left; the dashed line is the fit through all rows.

    Args:
        curve: With at least one point.
        rate: Whether damage is in percent.
        name: Prefix of the element ids, unique in the page.
    """
    drawing = Drawing(_WIDTH, 206)
    axes = drawing.axes(52, 12, 326, 160)
    axes.set_xlabel("distance from what was redacted", labelpad=4)
    ticks(axes.xaxis, 4)
    ticks(axes.yaxis, 4, rate=rate)
    axes.axhline(0, color=SOFT, linewidth=1)
    for p in curve.points:
        drawing.line(axes, "redacted", [p.distance] * 2, [p.low, p.high], marker="_", markersize=8)
        drawing.dot(axes, "redacted", p.distance, p.damage)
    axes.margins(0.06, 0.06)
    axes.autoscale_view()
    # the line may leave what the points need, so it is cut where they end
    limits = axes.get_ylim()
    axes.plot(*_fit(curve, limits), color=SOFT, linestyle=(0, (4, 3)), linewidth=1, clip_on=False)
    axes.set_ylim(limits)
    for p in curve.points:
        drawing.tip(axes, "redacted", p.distance, p.damage, _damage(p, rate, "\n"))
    said = "; ".join(_damage(p, rate, " ") for p in curve.points)
    return drawing.svg(f"{curve.metric}: damage by distance", said, name)


@with_settings
def scale(rate: Rate, ceiling: Rate | None, name: str) -> str:
    """A line from 0 to 100 %: the interval as a bar, the rate and its ceiling as marks.

    Args:
        rate: Of the redacted model.
        ceiling: Of the untouched model.
        name: Prefix of the element ids, unique in the page.
    """
    drawing = Drawing(240, 18)
    axes = drawing.axes(8, 0, 232, 18)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 18)
    axes.plot([0, 1], [9, 9], color=RULE, linewidth=2, solid_capstyle="round", clip_on=False)
    drawing.line(axes, "redacted", [rate.low, rate.high], [9, 9], linewidth=5, alpha=0.55)
    if ceiling is not None and ceiling.n:
        drawing.dot(axes, "base", ceiling.value, 9, 10)
    drawing.dot(axes, "redacted", rate.value, 9, 7.5)
    return drawing.svg("", "", name)


def mean_curve(losses: Sequence[Sequence[float]]) -> list[Point]:
    """The mean at every step over the rows that got so far, without what is not finite.

    >>> mean_curve([[4.0, 2.0], [2.0, float("nan")], [0.0]])
    [(1, 2.0), (2, 2.0)]
    """
    found: list[Point] = []
    for step in range(max(map(len, losses), default=0)):
        values = [row[step] for row in losses if len(row) > step and math.isfinite(row[step])]
        if values:
            found.append((step + 1, sum(values) / len(values)))
    return found


def _ends(values: Sequence[float], rate: bool) -> tuple[float, float]:
    """Zero and the largest figure, or what lies below zero; all of 0 to 1 where figures are rates or look so."""
    low, high = min([0.0, *values]), max([0.0, *values])
    return (low, 1.0) if high <= 1 and (rate or high > 0.5 or low == high) else (low, high)


def _fit(curve: Curve, limits: tuple[float, float]) -> tuple[list[float], list[float]]:
    """The line of least squares, which goes through the mean of all rows, within ``limits``; nothing without a slope."""
    if not math.isfinite(curve.slope):
        return [], []
    n = sum(p.n for p in curve.points)
    middle = sum(p.distance * p.n for p in curve.points) / n
    level = sum(p.damage * p.n for p in curve.points) / n
    ends = [min(p.distance for p in curve.points), max(p.distance for p in curve.points)]
    if curve.slope:
        bounds = sorted(middle + (limit - level) / curve.slope for limit in limits)
        ends = [min(max(end, bounds[0]), bounds[1]) for end in ends]
    return ends, [level + curve.slope * (end - middle) for end in ends]


def _describe(rows: Sequence[Dots], rate: bool) -> str:
    said: list[str] = []
    for row in rows:
        text = f"{row.group}: base {show(row.base, rate)}, redacted {show(row.redacted, rate)}"
        interval = span(row.low, row.high, rate)
        said.append(f"{text}{'' if interval == MISSING else f' (interval {interval})'}, n = {row.n}")
    return "; ".join(said) + "."


def _damage(point: DamagePoint, rate: bool, gap: str) -> str:
    interval = span(point.low, point.high, rate)
    return f"distance {point.distance:.3g}: {show(point.damage, rate)}{gap}({interval}), n = {point.n}"
