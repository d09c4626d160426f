"""Figures as text and as inline SVG that takes its colours from the report's stylesheet."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

MISSING = "–"

# one unit is about one CSS pixel on a narrow phone, so that the letters keep their size there
_WIDTH, _LEFT, _RIGHT = 340.0, 70.0, 272.0
_HEAD, _LANE, _GAP, _FOOT = 20.0, 17.0, 12.0, 26.0
_LETTERS = 34


class Dots(NamedTuple):
    """One group of a dot-and-whisker plot; what is missing is ``None``."""

    group: str
    base: float | None
    redacted: float | None
    low: float | None
    high: float | None
    n: int


def show(value: float | None, rate: bool = False) -> str:
    """A figure for people: rates in percent, other figures with as many decimals as they deserve.

    >>> show(0.0125, rate=True), show(0.98765), show(-0.5), show(1234.5), show(None)
    ('1.2 %', '0.988', '−0.500', '1,234', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    if rate:
        text = f"{100 * value:.1f} %"
    else:
        decimals = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def span(low: float | None, high: float | None, rate: bool = False) -> str:
    """Both ends of an interval.

    >>> span(0.0, 0.0602, rate=True), span(0.9, None), span(None, None)
    ('0.0 to 6.0 %', '0.900 to –', '–')
    """
    ends = show(low, rate), show(high, rate)
    if ends == (MISSING, MISSING):
        return MISSING
    first = ends[0].removesuffix(" %") if ends[1] != MISSING else ends[0]
    return f"{first} to {ends[1]}"


def element_id(text: str) -> str:
    """``text`` as the id of an element: names of models and attacks may hold anything.

    >>> element_id('a model"><b>-leak')
    'a-model-b--leak'
    """
    return re.sub(r"[^\w-]+", "-", text)


def dots_and_whiskers(title: str, rows: Sequence[Dots], rate: bool, name: str) -> str:
    """A plot of base against redacted, one group below the other, each figure in a line of its own.

    Args:
        title: What is plotted; heard, not seen.
        rows: Finite figures.
        rate: Whether the axis is in percent.
        name: Prefix of the element ids, unique in the page.
    """
    name = element_id(name)
    ticks = _ticks([v for row in rows for v in row[1:5] if v is not None], rate)
    block = _HEAD + 2 * _LANE + _GAP
    bottom = len(rows) * block
    height = bottom + _FOOT

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [
        f'<svg class="plot" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-desc">{escape(_describe(rows, rate))}</desc>',
    ]
    for tick in ticks:
        label = (f"{100 * tick:g} %" if rate else f"{tick:g}").replace("-", "−")
        lines = "".join(f"M{x(tick):.1f} {i * block + _HEAD:g}v{block - _HEAD:g}" for i in range(len(rows)))
        parts += [
            f'<path class="tick" d="{lines}"/>',
            f'<text class="soft" x="{x(tick):.1f}" y="{bottom + 16:g}" text-anchor="middle">{label}</text>',
        ]
    for i, row in enumerate(rows):
        top = i * block
        group = row.group if len(row.group) <= _LETTERS else row.group[: _LETTERS - 1].rstrip() + "…"
        parts += [
            f'<text class="group" x="0" y="{top + 14:g}">{escape(group)}</text>',
            f'<text class="soft" x="{_WIDTH:g}" y="{top + 14:g}" text-anchor="end">n = {escape(str(row.n))}</text>',
        ]
        for lane, (label, value) in enumerate((("base", row.base), ("redacted", row.redacted))):
            y = top + _HEAD + (lane + 0.5) * _LANE
            parts += [
                f'<text class="soft" x="0" y="{y + 4:g}">{label}</text>',
                f'<text class="{label}-text" x="{_WIDTH:g}" y="{y + 4:g}" text-anchor="end">'
                f"{show(value, rate)}</text>",
            ]
            if label == "redacted" and row.low is not None and row.high is not None:
                low, high = x(row.low), x(row.high)
                parts.append(
                    f'<path class="whisker" d="M{low:.1f} {y:g}H{high:.1f}'
                    f'M{low:.1f} {y - 4:g}v8M{high:.1f} {y - 4:g}v8"/>'
                )
            if value is not None and label == "base":
                parts.append(f'<circle class="base-mark" cx="{x(value):.1f}" cy="{y:g}" r="4.5"/>')
            elif value is not None:
                parts.append(
                    f'<path class="redacted-mark" d="M{x(value):.1f} {y - 5.5:g}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'
                )
    return "\n".join([*parts, "</svg>"])


def _describe(rows: Sequence[Dots], rate: bool) -> str:
    said: list[str] = []
    for row in rows:
        text = f"{row.group}: base {show(row.base, rate)}, redacted {show(row.redacted, rate)}"
        if row.low is not None or row.high is not None:
            text += f" (interval {span(row.low, row.high, rate)})"
        said.append(f"{text}, n = {row.n}")
    return "; ".join(said) + "."


def _ticks(values: Sequence[float], rate: bool) -> list[float]:
    """Round numbers from zero (or below) to the largest figure, so that lengths can be compared.

    >>> _ticks([0.01, 0.98], True), _ticks([-0.2, 0.7], False)
    ([0.0, 0.5, 1.0], [-0.5, 0.0, 0.5, 1.0])
    """
    low, high = min([0.0, *values]), max([0.0, *values])
    if low == 0 and high <= 1 and (rate or high > 0.5 or high == 0):
        return [0.0, 0.5, 1.0]
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    # the division may miss a whole number by one rounding
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]
