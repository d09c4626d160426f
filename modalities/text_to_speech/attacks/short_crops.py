"""A moment of a clip: less for the encoder to recognise the person by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from modalities.sound.clips import RATE, SHORTEST_S, fit_length
from modalities.text_to_speech.attacks.clip_attack import ClipAttack
from modalities.text_to_speech.attacks.voices import cloner, unseen_clips
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError

_PLACES = 4


class ShortCrops(ClipAttack):
    """Crops of the voice's unseen clips, where there are any, else of the row's own clip.

    Args:
        seconds: Lengths that the rows take in turn; at least 0.5, the shortest clip that is read.
        clips: Folder with unseen clips, see :class:`UnseenClips`.
        folder: Where the crops are written.

    Raises:
        RedactError: A length is too short.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(
        self,
        seconds: tuple[float, ...] = (0.5, 1.0, 2.0),
        clips: Path | None = None,
        folder: Path | None = None,
    ):
        super().__init__(folder)
        if not seconds or min(seconds) < SHORTEST_S:
            raise RedactError(f"seconds is {seconds}; give lengths of at least {SHORTEST_S} s.")
        self.seconds, self.clips = seconds, clips

    @property
    def name(self) -> str:
        return f"ShortCrops-{self.seconds[0]:g}" if len(self.seconds) == 1 else "ShortCrops"

    @property
    def budget(self) -> str:
        return "1 crop of " + ", ".join(f"{s:g} s" for s in self.seconds)

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """The loudest of a few random crops, so that it is speech."""
        del model
        generator = torch.Generator().manual_seed(seed)
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            unseen = unseen_clips(base, row, self.clips) if self._any(base) else []
            wave = cloner(base).waveform(unseen[i % len(unseen)] if unseen else row.condition)
            seconds = self.seconds[i % len(self.seconds)]
            crop = _loudest(wave, int(seconds * RATE), generator)
            found.append(Attempt(condition=self.write(i, f"crop-{seconds:g}s", crop), queries=1))
        return found

    def _any(self, base: Adapter) -> bool:
        return self.clips is not None or cloner(base).source == "bundled"


def _loudest(wave: Tensor, length: int, generator: torch.Generator) -> Tensor:
    if len(wave) <= length:
        return fit_length(wave, length)
    starts = torch.randint(len(wave) - length + 1, (_PLACES,), generator=generator).tolist()
    return max((wave[s : s + length] for s in starts), key=lambda crop: crop.square().sum().item())
