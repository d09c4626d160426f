"""Who speaks and what is said: the bundled verifier and recogniser behind one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.text_to_speech.judges.recogniser import Recogniser, load_recogniser
from modalities.text_to_speech.judges.verifier import embed, embed_clip, load_verifier
from redact_core.support.paths import at_home

BUNDLED = Path(__file__).parents[1] / "bundled"


@dataclass(frozen=True)
class VoiceSimilarity:
    """What the judge finds in samples; a row for each sample, a column for each enrolled voice."""

    similarity: Tensor  # (samples, voices) cosine with each voice's prototype
    voices: list[str]

    def identified(self, voice: str) -> Tensor:
        """``(samples,)`` bool: is ``voice`` the nearest of all enrolled ones (id@N)?"""
        return self.similarity.argmax(1) == self.voices.index(voice)

    def similar(self, voice: str) -> Tensor:
        """``(samples,)`` cosine with the prototype of ``voice``."""
        return self.similarity[:, self.voices.index(voice)]


class VoiceJudge:
    """The gallery of enrolled voices, and the question who of them speaks.

    Args:
        gallery: Voice id -> clips; a voice's prototype is the mean of its clips' embeddings. It may be empty
            where nobody is to be recognised.
        folder: With ``verifier`` and ``recogniser``; default: the bundled ones.
    """

    def __init__(self, gallery: Mapping[str, Sequence[Path]], folder: Path | None = None):
        folder = at_home(folder or BUNDLED)
        self._folder = folder
        self.voices = list(gallery)
        prototypes = [
            torch.stack([embed_clip(clip, folder / "verifier") for clip in clips]).mean(0)
            for clips in gallery.values()
        ]
        self.prototypes = normalize(torch.stack(prototypes), dim=1) if prototypes else torch.zeros(0, 0)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """What computes: the verifier, which all judges of a folder share, and the recogniser once it is loaded."""
        verifier = load_verifier(self._folder / "verifier")
        return (verifier, self.recogniser) if "recogniser" in self.__dict__ else (verifier,)

    def embed(self, samples: Sequence[Tensor]) -> Tensor:
        """``(samples, dim)`` of length 1; see :mod:`.verifier`."""
        return torch.stack([embed(wave, self._folder / "verifier") for wave in samples])

    def __call__(self, samples: Sequence[Tensor]) -> VoiceSimilarity:
        """Compare waveforms ``(samples,)`` at 16 kHz with every enrolled voice."""
        return VoiceSimilarity(self.embed(samples) @ self.prototypes.T, self.voices)

    @cached_property
    def recogniser(self) -> Recogniser:
        """Loaded when something is to be read; who speaks is asked more often."""
        return load_recogniser(self._folder / "recogniser")

    def read(self, samples: Sequence[Tensor]) -> list[str]:
        """What is said in each sample."""
        return [self.recogniser.read(wave) for wave in samples]
