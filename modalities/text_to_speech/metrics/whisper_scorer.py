"""Is what was to be said still understood? Word and character error rate by a Whisper of the user's."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchaudio.functional import edit_distance
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

from modalities.received import check_folder
from modalities.sound.clips import RATE
from modalities.text_to_speech.judges.sound_files import read_sound
from modalities.whole_models import whole
from redact_core import Metric, RedactError, Scorer, Trial
from redact_core.errors import first_line
from redact_core.support.paths import at_home


class TranscriptScorer(Scorer):
    """Error rates of a transcript against the label ``sentence``; both may exceed 1.

    Texts are compared in lower case without punctuation; numbers are not spelled out.
    """

    metrics: ClassVar[Mapping[str, Metric]] = {
        "WER (Whisper)": Metric("mean", redacted="as base", retained="as base"),
        "CER (Whisper)": Metric("mean", redacted="as base", retained="as base"),
    }

    def read(self, path: Path) -> Tensor:
        return read_sound(path)

    def score(self, samples: Sequence[Tensor], rows: Sequence[Trial]) -> list[dict[str, float]]:
        found: list[dict[str, float]] = []
        for wave, trial in zip(samples, rows, strict=True):
            said = plain(trial.row.labels.get("sentence", ""))
            heard = plain(self.transcribe(wave)) if said else ""
            found.append(
                {
                    "WER (Whisper)": _rate(heard.split(), said.split()),
                    "CER (Whisper)": _rate(list(heard), list(said)),
                }
            )
        return found

    @abstractmethod
    def transcribe(self, wave: Tensor) -> str:
        """What is said in ``wave (samples,)`` at 16 kHz."""


class WhisperScorer(TranscriptScorer):
    """Error rates against the label ``sentence``; both may exceed 1. Nothing is downloaded.

    Texts are compared in lower case without punctuation; numbers are not spelled out.

    Args:
        folder: Of a ``WhisperForConditionalGeneration`` with tokenizer and feature extractor.
        longest: Tokens that are read of a sample.

    Raises:
        RedactError: The folder holds no such model.
    """

    def __init__(self, folder: Path, longest: int = 128):
        self.folder, self.longest = at_home(folder), longest
        if not (self.folder / "config.json").is_file():
            raise RedactError(f"{folder} holds no Whisper: config.json is missing; give the folder of one.")
        check_folder(self.folder)
        try:
            self.model: Any = whole(
                WhisperForConditionalGeneration, self.folder, dtype=torch.float32, use_safetensors=True
            )
            self.tokenizer = WhisperTokenizer.from_pretrained(self.folder)
            self.features: Any = WhisperFeatureExtractor.from_pretrained(self.folder)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            reason = first_line(error)
            raise RedactError(
                f"{folder} cannot be loaded as a Whisper ({reason}); fetch it again."
            ) from error
        self.model.eval().requires_grad_(False)

    @property
    def files(self) -> Mapping[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()}

    @property
    def networks(self) -> Sequence[nn.Module]:
        return (self.model,)

    @torch.no_grad()
    def transcribe(self, wave: Tensor) -> str:
        """What is said in ``wave (samples,)`` at 16 kHz, greedily; silence of a sample without values."""
        sound = wave.numpy() if len(wave) else torch.zeros(RATE // 10).numpy()
        inputs = self.features(sound, sampling_rate=RATE, return_tensors="pt")
        tokens = self.model.generate(
            inputs["input_features"].to(self.model.device),
            max_new_tokens=self.longest,
            do_sample=False,
            num_beams=1,
        )
        text = self.tokenizer.decode(tokens[0], skip_special_tokens=True)
        return text if isinstance(text, str) else " ".join(text)


def plain(text: str) -> str:
    """Lower case, letters, digits and apostrophes.

    >>> plain("It's 9 o'clock,  Sir!")
    "it's 9 o'clock sir"
    """
    return " ".join(re.sub(r"[^\w']+", " ", text.lower()).split())


def _rate(heard: Sequence[str], said: Sequence[str]) -> float:
    return edit_distance(heard, said) / len(said) if said else math.nan
