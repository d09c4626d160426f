"""A filter of what is asked: clips that a verifier takes for a blocked voice are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import read_clip
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge
from redact_core import Adapter, Condition, Conditioning, Guard, RedactError
from redact_core.adapters.generator_parts import ReadsClips
from redact_core.support.devices import move
from redact_core.support.paths import at_home


class ClipFilter(Guard):
    """Refuses a reference clip whose cosine with a blocked voice is above a threshold; trains nothing.

    The remedy of voice-cloning services: a speaker verifier before the model. It reads clips: what comes as an embedding
    passes, and so do voices that the verifier does not take for the blocked one. :class:`.VoiceFilter` looks at what comes
    out instead.

    Known traps: a threshold is a trade of missed clips against refused strangers, and clips with noise or of another channel
    are missed first. Anyone with the weights skips it.

    Args:
        inner: A model of speech that clips are shown to, or a guard around one.
        blocked: Voices: ids of the bank, folders or files of clips.
        reference: A voice that is spoken with instead; default: silence of the length that the model would have spoken.
        bank: Folder of known voices; default: the bundled one.
        verifier: Folder with a ``verifier``; default: the bundled one, another network than the encoder.
        threshold: Of the cosine with the mean of a blocked voice's clips, above which a clip is refused.

    Raises:
        RedactError: No voice is given, one is unknown, or the threshold is no cosine.
    """

    needs = (ReadsClips,)

    def __init__(
        self,
        inner: Adapter,
        blocked: list[str],
        reference: str | None = None,
        bank: Path | None = None,
        verifier: Path | None = None,
        threshold: float = 0.6,
    ):
        if not blocked:
            raise RedactError("ClipFilter needs a voice to refuse; give at least one.")
        if not -1 <= threshold <= 1:
            raise RedactError(f"threshold is {threshold}; give a cosine, from -1 to 1.")
        super().__init__(inner)
        self.bank = VoiceBank(bank or BUNDLED / "voices")
        folder = at_home(verifier or BUNDLED)
        self.clips = {what: self.bank.clips(what) for what in blocked}
        self.judge, self.verifier = VoiceJudge(self.clips, folder), folder / "verifier"
        self.blocked, self.reference, self.threshold = list(blocked), reference, threshold

    def files(self) -> Mapping[str, Path]:
        own = {f"clip filter/{path.name}": path for path in sorted(self.verifier.iterdir()) if path.is_file()}
        own |= {f"clip filter/{v}/{path.name}": path for v, found in self.clips.items() for path in found}
        return {**self.inner.files(), **own}

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model, and the verifier to the same device; the verifier computes in float32."""
        super().to(device, dtype)
        for network in self.judge.networks:
            move(network, device)
        return self

    @torch.no_grad()
    def similarity(self, conditions: Sequence[Condition]) -> Tensor:
        """``(conditions,)`` the greatest cosine of each clip with a blocked voice; of a voice, that of its nearest clip."""
        found = [self.judge([read_clip(clip) for clip in self._clips(c)]).similarity for c in conditions]
        return torch.stack([similarity.max() for similarity in found])

    @torch.no_grad()
    def generate(
        self, conditions: Sequence[Condition] | Conditioning, *, seeds: Sequence[int]
    ) -> list[Tensor]:
        if isinstance(conditions, Conditioning):
            return self.inner.generate(conditions, seeds=seeds)
        refused = (self.similarity(conditions) > self.threshold).tolist()
        if self.reference is not None:
            asked = [self.reference if bad else c for c, bad in zip(conditions, refused, strict=True)]
            return self.inner.generate(asked, seeds=seeds)
        spoken = self.inner.generate(conditions, seeds=seeds)
        return [torch.zeros_like(x) if bad else x for x, bad in zip(spoken, refused, strict=True)]

    def _clips(self, condition: Condition) -> Sequence[Path]:
        """The clips of a voice of the bank, or the one clip that a path names."""
        return self.bank.voices.get(str(condition), [Path(condition)])
