"""Conditions of a vocoder as text: a clip, a window of it, a clip as another voice would say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from modalities.mel_to_speech.mel import log_mel, to_band
from modalities.sound.clips import RATE, read_clip
from modalities.sound.warps import formants, pitch
from redact_core import Condition, RedactError
from redact_core.support.paths import at_home

_FORM = re.compile(r"(?P<path>.+?)(?:@(?P<start>\d+))?(?: warped (?P<semitones>\S+) (?P<ratio>\S+))?")


@dataclass(frozen=True)
class Warp:
    """From one voice to another, at the same pace.

    ``semitones`` of pitch and formants together, then formants alone times ``ratio``.
    """

    semitones: float = 0.0
    ratio: float = 1.0

    def __call__(self, wave: Tensor) -> Tensor:
        """``wave (samples,)`` at 16 kHz -> the same length."""
        changed = pitch(self.semitones)(wave) if self.semitones else wave
        return formants(self.ratio)(changed) if self.ratio != 1 else changed


AS_IT_IS = Warp()


@dataclass(frozen=True)
class Utterance:
    """A clip, maybe warped; ``start`` is the first frame of a window, -1 stands for all of it.

    As text: ``clip.wav``, ``clip.wav@17``, ``clip.wav@17 warped -3.25 1.08``.
    """

    path: Path
    start: int = -1
    warp: Warp = AS_IT_IS

    def __str__(self) -> str:
        text = str(self.path) if self.start < 0 else f"{self.path}@{self.start}"
        return text if self.warp == AS_IT_IS else f"{text} warped {self.warp.semitones:g} {self.warp.ratio:g}"

    @classmethod
    def read(cls, condition: Condition) -> Utterance:
        """The reverse of ``str``.

        Raises:
            RedactError: The numbers of a warp are none, or out of two octaves and a factor of two.
        """
        condition = at_home(condition)
        if condition.is_file():
            return cls(condition)
        found = _FORM.fullmatch(str(condition))
        assert found is not None  # any text has a path
        warp = AS_IT_IS
        if found["semitones"] is not None:
            try:
                warp = Warp(float(found["semitones"]), float(found["ratio"]))
            except ValueError:
                warp = Warp(float("nan"))
            if not (abs(warp.semitones) <= 24 and 0.5 <= warp.ratio <= 2):
                raise RedactError(
                    f'"{condition}": a warp is semitones within 24 and a ratio of formants from 0.5 to 2.'
                )
        return cls(Path(found["path"]), -1 if found["start"] is None else int(found["start"]), warp)


@lru_cache(maxsize=1024)
def mel_of(path: Path, warp: Warp, bands: int) -> Tensor:
    """``(bands, frames)`` of a clip; callers must not write into it.

    Raises:
        RedactError: The clip cannot be used, see :func:`modalities.sound.clips.read_clip`.
    """
    return log_mel(to_band(warp(read_clip(path)), RATE), bands)
