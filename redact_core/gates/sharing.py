"""What several gates do to those who stay: the caps of later ones rise, or two hundred gates would move nearly everybody."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

from redact_core.gates.fit import GateSettings

_NORMAL = NormalDist()


def share_of(there: int, added: int) -> float:
    """Of those who by chance lie above the cap of a gate that is alone, the share that may lie above that of each of ``added`` gates.

    Gates that come together share equally, so that all of them move as few as one does. Those that come later, behind ``there`` others,
    have the share that they would have had with them; what all of them move grows with the logarithm of their number.

    >>> share_of(0, 1), share_of(0, 50), share_of(1, 1)
    (1.0, 0.02, 0.5)
    """
    return 1 / (there + added)


def shared(settings: GateSettings, share: float) -> GateSettings:
    """``settings`` with the cap above which, by chance, only ``share`` as many of those who stay lie.

    It counts standard deviations of people; as many are taken to lie above it as of a normal distribution. ``sure`` stays: a gate that
    replaces less moves more, and further.
    """
    if share == 1:
        return settings
    tail = share * _NORMAL.cdf(-settings.cap)
    return replace(settings, cap=-_NORMAL.inv_cdf(tail) if tail > 0 else settings.cap)
