"""The same words higher, lower, faster, slower, or from a throat of another length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from modalities.sound.clips import RATE, SHORTEST_S, fit_length
from modalities.sound.warps import formants, pitch, tempo
from modalities.text_to_speech.attacks.clip_attack import ClipAttack, known_changes
from modalities.text_to_speech.attacks.voices import cloner
from redact_core import Access, Adapter, Attempt, PlanRow

CHANGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    **{f"pitch {n:+d}": pitch(n) for n in (-4, -2, -1, 1, 2, 4)},
    **{f"tempo {r:g}": tempo(r) for r in (0.9, 1.1)},
    **{f"formants {r:g}": formants(r) for r in (0.9, 0.95, 1.05, 1.1)},
}
"""Semitones, ratio of speed, ratio of frequency."""


class PitchTempo(ClipAttack):
    """Each row's clip in another transformation, in turn.

    Args:
        changes: Names of :data:`CHANGES`; default: all.
        folder: Where the clips are written.

    Raises:
        RedactError: An unknown change was named.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(self, changes: tuple[str, ...] = (), folder: Path | None = None):
        super().__init__(folder)
        known_changes(changes, CHANGES)
        self.changes = changes or tuple(CHANGES)

    @property
    def budget(self) -> str:
        return f"1 of {len(self.changes)} transformations"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        del model, seed
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            name = self.changes[i % len(self.changes)]
            wave = CHANGES[name](cloner(base).waveform(row.condition))
            wave = fit_length(wave, max(len(wave), int(SHORTEST_S * RATE)))
            wave = wave * (0.95 / wave.abs().max().clamp(min=0.95))
            found.append(Attempt(condition=self.write(i, name, wave), queries=1))
        return found
