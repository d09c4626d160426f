"""A curve as inline SVG: damage against distance, with intervals and the fitted line."""

from __future__ import annotations

import math
from html import escape

from redact_core.evaluation.damage import Curve, Point
from redact_core.reporting.plots import element_id, show, span

# as in report_plots: a unit is about a CSS pixel on a narrow phone
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 340.0, 190.0, 52.0, 326.0, 12.0, 150.0


def curve_plot(curve: Curve, rate: bool, name: str) -> str:
    """Points with whiskers, nearest on the left; the dashed line is the fit through all rows.

    Args:
        curve: With at least one point.
        rate: Whether damage is in percent.
        name: Prefix of the element ids, unique in the page.
    """
    name = element_id(name)
    xs = [point.distance for point in curve.points]
    left, right = min(xs), max(xs)
    left, right = (left, right) if right > left else (left - 0.5, right + 0.5)
    values = [v for p in curve.points for v in (p.damage, p.low, p.high) if math.isfinite(v)]
    bottom, top = min([0.0, *values]), max([0.0, *values])
    top = top if top > bottom else bottom + 1.0

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - left) / (right - left)

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - bottom) / (top - bottom)

    said = "; ".join(_point(p, rate) for p in curve.points)
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(f"{curve.metric}: damage by distance")}</title>',
        f'<desc id="{name}-desc">{escape(said)}</desc>',
    ]
    for value in dict.fromkeys((bottom, 0.0, top)):
        parts += [
            f'<path class="tick" d="M{_LEFT:g} {y(value):.1f}H{_RIGHT:g}"/>',
            f'<text class="soft" x="{_LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{show(value, rate)}</text>',
        ]
    parts += [
        f'<text class="soft" x="{x(value):.1f}" y="{_BOTTOM + 18:g}" text-anchor="middle">{value:.2f}</text>'
        for value in (left, (left + right) / 2, right)
    ]
    parts.append(
        f'<text class="soft" x="{(_LEFT + _RIGHT) / 2:g}" y="{_BOTTOM + 34:g}" text-anchor="middle">'
        "distance from what was redacted</text>"
    )
    if math.isfinite(curve.slope):
        # the line of least squares goes through the mean of all rows
        n = sum(p.n for p in curve.points)
        middle = sum(p.distance * p.n for p in curve.points) / n
        level = sum(p.damage * p.n for p in curve.points) / n
        ends = [(at, level + curve.slope * (at - middle)) for at in (left, right)]
        path = "L".join(f"{x(at):.1f} {min(max(y(v), _TOP), _BOTTOM):.1f}" for at, v in ends)
        parts.append(f'<path class="tick" stroke-dasharray="4 3" d="M{path}"/>')
    for p in curve.points:
        at, mid = x(p.distance), y(p.damage)
        parts += [
            f'<path class="whisker" d="M{at:.1f} {y(p.low):.1f}V{y(p.high):.1f}"/>',
            # a browser shows the title where the pointer rests
            f'<path class="redacted-mark" d="M{at:.1f} {mid - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z">'
            f"<title>{escape(_point(p, rate))}</title></path>",
        ]
    return "\n".join([*parts, "</svg>"])


def _point(point: Point, rate: bool) -> str:
    interval = span(point.low, point.high, rate)
    return f"distance {point.distance:.3g}: {show(point.damage, rate)} ({interval}), n = {point.n}"
