"""Curves as inline SVG that takes its colours from the report's stylesheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from redact_core.reporting.plots import element_id, show

_WIDTH, _HEIGHT = 340.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 330.0, 12.0, 122.0

Point = tuple[float, float]


def curves(
    title: str, lines: Mapping[str, Sequence[Point]], name: str, *, rate: bool = False, across: str = "steps"
) -> str:
    """A plot of ``base`` and ``redacted``, whichever of the two ``lines`` holds.

    Args:
        title: What is plotted; heard, not seen.
        lines: ``base`` or ``redacted`` -> finite points, at least one in all.
        name: Prefix of the element ids, unique in the page.
        rate: Whether the vertical axis is in percent, from 0 to 100.
        across: What the horizontal axis counts.
    """
    name = element_id(name)
    points = [point for line in lines.values() for point in line]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = (0.0, 1.0) if rate else (min(y for _, y in points), max(y for _, y in points))

    def place(point: Point) -> str:
        x = (point[0] - left) / (right - left) if right > left else 0.5
        y = (point[1] - low) / (high - low) if high > low else 0.5
        return f"{_LEFT + x * (_RIGHT - _LEFT):.1f} {_BOTTOM - y * (_BOTTOM - _TOP):.1f}"

    said = "; ".join(
        f"{label}: {show(line[0][1], rate)} at {line[0][0]:g} to {show(line[-1][1], rate)} at {line[-1][0]:g}"
        for label, line in lines.items()
        if line
    )
    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(said)}.</desc>',
        f'<path class="tick" d="M{_LEFT:g} {_TOP:g}H{_RIGHT:g}M{_LEFT:g} {_BOTTOM:g}H{_RIGHT:g}"/>',
    ]
    parts += [
        f'<text class="soft" x="{_LEFT - 6:g}" y="{y + 4:g}" text-anchor="end">{show(value, rate)}</text>'
        for y, value in ((_TOP, high), (_BOTTOM, low))
    ]
    parts += [
        f'<text class="soft" x="{x:g}" y="{_BOTTOM + 18:g}" text-anchor="{anchor}">{text}</text>'
        for x, anchor, text in (
            (_LEFT, "start", f"{left:g}"),
            ((_LEFT + _RIGHT) / 2, "middle", escape(across)),
            (_RIGHT, "end", f"{right:g}"),
        )
    ]
    for label, line in lines.items():
        if line:
            parts.append(f'<path class="{label}-line" d="M{"L".join(place(p) for p in line)}"/>')
            parts += [
                f'<circle class="{label}-dot" cx="{spot[0]}" cy="{spot[1]}" r="3"/>'
                for spot in (place(p).split() for p in (line if len(line) <= 12 else ()))
            ]
    return "\n".join([*parts, "</svg>"])


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
