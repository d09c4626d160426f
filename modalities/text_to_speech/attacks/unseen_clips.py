"""Other clips of the same person than those that taught the redaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from modalities.text_to_speech.attacks.voice_attack import VoiceAttack
from modalities.text_to_speech.attacks.voices import unseen_clips
from redact_core import Access, Adapter, Attempt, PlanRow, RedactError


class UnseenClips(VoiceAttack):
    """Each row is asked with another unseen clip of its voice.

    Args:
        clips: Folder with one subfolder of clips for each voice; default: those beside the bundled base.
    """

    access: ClassVar[Access] = "prompt"
    adaptive = False

    def __init__(self, clips: Path | None = None):
        self.clips = clips

    @property
    def budget(self) -> str:
        return "1 clip"

    def __call__(self, model: Adapter, base: Adapter, rows: Sequence[PlanRow], *, seed: int) -> list[Attempt]:
        """Unseen clips in turn.

        Raises:
            RedactError: A row's voice has none.
        """
        del model, seed
        found: list[Attempt] = []
        for i, row in enumerate(rows):
            clips = unseen_clips(base, row, self.clips)
            if not clips:
                raise RedactError(
                    f"{row.condition}: no unseen clip of this voice is known; give the attack clips: FOLDER that has some."
                )
            found.append(Attempt(condition=clips[i % len(clips)], queries=1))
        return found
