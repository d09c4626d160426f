"""Espresso for sound: speech whose voice is nearer to a blocked one than to an allowed one is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import clips_in
from modalities.text_to_speech.judges.judge import BUNDLED, VoiceJudge
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Adapter, RedactError
from redact_core.adapters.generator_parts import GivesSpeech
from redact_core.guards.two_anchor import TwoAnchorGuard, TwoAnchors
from redact_core.support.devices import move
from redact_core.support.paths import at_home


class VoiceFilter(TwoAnchorGuard):
    """The two-anchor decision (Das et al. 2024, arXiv 2404.19227) on the voice of the *output* speech.

    It judges what is given out, so that it does not matter by which clip the voice was asked for.
    Whoever has the weights skips it.

    Args:
        inner: Any model of speech at 16 kHz, or a guard around one.
        unacceptable: Voices that shall not be given out: ids of the bank, folders or files of clips.
        acceptable: Voices that may be given out, among them those that sound similar.
        reference: A voice; blocked speech is drawn again in it, with the same seed and so the same
            sentence. Without it blocked speech is silence of the same length, as it is where the
            model gives the blocked voice even then.
        bank: Folder of known voices; default: the bundled one.
        verifier: Folder with a ``verifier``; default: the bundled one, another network than the encoder.
        scale: s of the decision; a verifier has no such number of its own.
        threshold: Of the score, above which speech is blocked.
        validation: Folder of sound files that shall pass; sets the threshold instead.
        rate: Share of them that may be blocked.

    Raises:
        RedactError: A voice is unknown, a list or the folder is empty, or a file cannot be read.
    """

    needs = (GivesSpeech,)

    def __init__(
        self,
        inner: Adapter,
        unacceptable: list[str],
        acceptable: list[str],
        reference: str | None = None,
        bank: Path | None = None,
        verifier: Path | None = None,
        scale: float = 20.0,
        threshold: float = 0.5,
        validation: Path | None = None,
        rate: float = 0.05,
    ):
        if not unacceptable or not acceptable:
            raise RedactError(
                "VoiceFilter needs two lists; give at least one unacceptable and one acceptable voice."
            )
        voices = VoiceBank(bank or BUNDLED / "voices")
        folder = at_home(verifier or BUNDLED)
        self.clips = {what: voices.clips(what) for what in (*unacceptable, *acceptable)}
        self.judge = VoiceJudge(self.clips, folder)
        self.verifier = folder / "verifier"
        rows = {what: self.judge.prototypes[i] for i, what in enumerate(self.clips)}
        given, allowed = (torch.stack([rows[what] for what in group]) for group in (unacceptable, acceptable))
        super().__init__(inner, TwoAnchors(given, allowed, scale, threshold))
        self.unacceptable, self.acceptable = list(unacceptable), list(acceptable)
        self.reference, self.scale = reference, scale
        self.own_files = {
            f"voice filter/{path.name}": path
            for path in sorted((folder / "verifier").iterdir())
            if path.is_file()
        } | {f"voice filter/{what}/{path.name}": path for what, found in self.clips.items() for path in found}
        if validation is not None:
            benign = [read_sound(path) for path in clips_in(at_home(validation))]
            self.use(self.anchors.calibrated(self.embed(benign) if benign else torch.zeros(0, 1), rate))

    def files(self) -> Mapping[str, Path]:
        return {**self.inner.files(), **self.own_files}

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the guarded model, and the verifier to the same device; the verifier computes in float32."""
        super().to(device, dtype)
        for network in self.judge.networks:
            move(network, device)
        return self

    def embed(self, samples: Sequence[Tensor]) -> Tensor:
        return self.judge.embed(samples)

    def stand_in(self, samples: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        if self.reference is None:
            return [torch.zeros_like(sample) for sample in samples]
        again = self.inner.generate([self.reference] * len(seeds), seeds=seeds)
        still = self.anchors.blocked(self.embed(again)).tolist()
        return [torch.zeros_like(sample) if bad else sample for sample, bad in zip(again, still, strict=True)]
