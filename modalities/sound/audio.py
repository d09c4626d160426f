"""Waveforms as people use them: samples, a rate, and a way to save them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from torch import Tensor


@dataclass(frozen=True)
class Audio:
    """One waveform."""

    samples: Tensor
    """``(samples,)`` in [-1, 1], on the CPU."""
    rate: int
    """Samples a second."""

    def save(self, path: Path | str) -> Path:
        """Write a WAV file of 16 bits.

        Args:
            path: The file; its suffix becomes ``.wav``.

        Returns:
            The path with its suffix.
        """
        path = Path(path).with_suffix(".wav")
        soundfile.write(path, self.samples.numpy(), self.rate, subtype="PCM_16")
        return path


@dataclass(frozen=True)
class Audios:
    """The waveforms of one call, in the order of the conditions."""

    audios: list[Audio]

    @classmethod
    def of(cls, samples: Sequence[Tensor], rate: int) -> Audios:
        """From samples ``(samples,)`` in [-1, 1]."""
        return cls([Audio(values, rate) for values in samples])
