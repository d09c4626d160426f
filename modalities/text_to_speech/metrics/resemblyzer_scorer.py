"""Who speaks, by Resemblyzer's GE2E: a second judge, trained by others on other people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modalities.sound.bank import VoiceBank
from modalities.sound.clips import RATE, read_clip
from modalities.sound.sound_folder import SoundFolder
from modalities.text_to_speech.encoders.ge2e import load_ge2e
from modalities.text_to_speech.encoders.ge2e import weights as stock_weights
from modalities.text_to_speech.judges.sound_files import read_sound
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.support.paths import at_home


class ResemblyzerScorer(Scorer):
    """GE2E (Wan et al. 2018) with the weights of the wheel ``resemblyzer``; it must not be the encoder that is redacted.

    Rows are labelled ``voice`` and maybe ``reference``. A voice that is not enrolled cannot be judged. The gallery is
    everybody: the voices of ``bank``, and each clip of ``strangers`` as a person.

    - *identified*: the voice is the nearest of the gallery (id@N, with N voices in it).
    - *likeness*: cosine with the voice's prototype, the mean embedding of its clips.
    - *likeness to reference*: the same with the reference's; redacted rows only.
    - *likeness of the nearest other voice*: the largest cosine with an enrolled voice of ``bank`` that is neither the
      voice that was asked for nor its reference. A redacted voice shall not be more like itself than that.

    Args:
        bank: Folder with one subfolder of clips for each enrolled voice.
        strangers: Folder of clips, one for each further person.
        weights: In Resemblyzer's format; default: those in its wheel.

    Raises:
        RedactError: The package is not installed, or a folder holds no clips.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "identified (Resemblyzer)": Metric(
            "rate", redacted="low", retained="as base", leak=True,
            note="of the whole gallery, the voice that was asked for is the nearest to the sample",
        ),
        "likeness (Resemblyzer)": Metric(
            "mean", redacted="low", retained="as base", note="cosine of the sample and the voice that was asked for"
        ),
        "likeness to reference (Resemblyzer)": Metric("mean", redacted="high", retained=None),
        "likeness of the nearest other voice (Resemblyzer)": Metric(
            "mean", None, None, note="of the enrolled voices, without the one that was asked for and its reference"
        ),
    }  # fmt: skip
    about = "Resemblyzer, a speaker encoder that others trained"

    def __init__(self, bank: Path, strangers: Path | None = None, weights: Path | None = None):
        self.weights = stock_weights() if weights is None else at_home(weights)
        self.encoder = load_ge2e(self.weights).requires_grad_(False)
        self.bank = VoiceBank(bank)
        self.strangers = [] if strangers is None else _people(at_home(strangers))
        self.voices = [*self.bank.voices, *(clip.as_posix() for clip in self.strangers)]
        prototypes = [
            torch.stack([self.embed(read_clip(clip)) for clip in clips]).mean(0)
            for clips in [*self.bank.voices.values(), *([clip] for clip in self.strangers)]
        ]
        self.prototypes = normalize(torch.stack(prototypes), dim=1)

    @property
    def files(self) -> Mapping[str, Path]:
        clips = {f"{voice}/{p.name}": p for voice, paths in self.bank.voices.items() for p in paths}
        return {"pretrained.pt": self.weights} | clips | {f"strangers/{p.name}": p for p in self.strangers}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.encoder,)

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    @torch.no_grad()
    def embed(self, wave: Tensor) -> Tensor:
        """``(256,)`` of length 1, of ``wave (samples,)`` at 16 kHz; a sample without values is silence."""
        wave = wave if len(wave) else torch.zeros(RATE)
        found = self.encoder({"waveform": wave[None].to(self.encoder.mel.device)}).hidden[0, 0]
        return normalize(found, dim=0).cpu()

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        identified, likeness, reference, other = self.metrics
        column = {voice: i for i, voice in enumerate(self.bank.voices)}
        found: list[dict[str, float]] = []
        for wave, trial in zip(samples, rows, strict=True):
            alike = self.prototypes @ self.embed(wave)
            labels = trial.row.labels
            voice, instead = (column.get(labels.get(key, "")) for key in ("voice", "reference"))
            rest = [i for i in column.values() if i not in (voice, instead)]
            scores = {
                identified: math.nan if voice is None else float(alike.argmax() == voice),
                likeness: math.nan if voice is None else alike[voice].item(),
                other: alike[rest].max().item() if rest else math.nan,
            }
            if trial.row.redacted and "reference" in labels:
                scores[reference] = math.nan if instead is None else alike[instead].item()
            found.append(scores)
        return found


def _people(folder: Path) -> list[Path]:
    clips = SoundFolder.of(folder).clips if folder.is_dir() else []
    if not clips:
        raise RedactError(f"{folder} holds no clips; give a folder with one clip for each stranger.")
    return clips
