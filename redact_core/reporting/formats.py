"""Figures as text for people."""

from __future__ import annotations

import math

MISSING = "–"


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
