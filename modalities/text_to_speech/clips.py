"""Reference clips: see :mod:`modalities.sound.clips`, which other modalities read too."""

from modalities.sound.clips import (
    RATE,
    SHORTEST_S,
    SUFFIXES,
    clips_in,
    fit_length,
    is_clip,
    read_channels,
    read_clip,
)

__all__ = [
    "RATE",
    "SHORTEST_S",
    "SUFFIXES",
    "clips_in",
    "fit_length",
    "is_clip",
    "read_channels",
    "read_clip",
]
