"""What several gates do to those who stay, held at what one gate does: the levels of each rise with their number."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

from redact_core.gates.fit import GateSettings

_NORMAL = NormalDist()


def share_of(there: int, added: int) -> float:
    """Which share of what one gate alone may change each of ``added`` gates may, that come together behind ``there`` others.

    Gates that come together share equally. Those that come later share so that all gates together change at most twice what
    one may, however many they become: ``n`` have ``2 - 1 / n`` of it.

    >>> share_of(0, 1), share_of(0, 50), share_of(1, 1)
    (1.0, 0.02, 0.5)
    >>> round(sum(share_of(n, 1) for n in range(200)), 3)
    1.995
    """
    return 1 / added if not there else 1 / (there * (there + added))


def shared(settings: GateSettings, share: float) -> GateSettings:
    """``settings`` with ``cap`` and ``sure`` so that by chance only ``share`` as many of those who stay lie above them.

    They count standard deviations of people; as many lie above them as of a normal distribution. Without it, each
    gate moves a few clips of people whom it does not know, and two hundred gates move nearly all clips.
    """
    if share == 1:
        return settings
    return replace(settings, cap=_beyond(settings.cap, share), sure=_beyond(settings.sure, share))


def _beyond(deviations: float, share: float) -> float:
    """Standard deviations beyond which ``share`` of what lies beyond ``deviations`` does."""
    tail = share * _NORMAL.cdf(-deviations)
    return -_NORMAL.inv_cdf(tail) if tail > 0 else deviations
